package pointsman

import (
	"pointsman/internal/abi"
	"slices"
	"testing"
)

func configured(t *testing.T, entries []abi.Setting, ask func(*Settings) error) string {
	t.Helper()
	if err := Configure(entries, ask); err != nil {
		return err.Error()
	}
	return ""
}

func TestAnEntryNobodyAskedForIsAnErrorThatNamesTheNearest(t *testing.T) {
	ask := func(settings *Settings) error {
		settings.Get("source")
		settings.Under("regions")
		return nil
	}
	for entry, want := range map[string]string{
		"source":     "",
		"regions.CA": "",
		"sorce":      "the setting `sorce` is not known here; is `source` meant?",
		"region.CA":  "the setting `region.CA` is not known here; is `regions.CA` meant?",
		"colour":     "the setting `colour` is not known here; known are source, regions.*",
	} {
		if got := configured(t, []abi.Setting{{Name: entry, Value: "x"}}, ask); got != want {
			t.Errorf("%s: %q", entry, got)
		}
	}
	nothing := func(*Settings) error { return nil }
	if got := configured(t, []abi.Setting{{Name: "x"}}, nothing); got != "the setting `x` is not known here: there are none" {
		t.Error(got)
	}
}

func TestAMissingSettingNamesItsMisspelling(t *testing.T) {
	ask := func(settings *Settings) error {
		_, err := settings.Required("header")
		return err
	}
	got := configured(t, []abi.Setting{{Name: "heder"}}, ask)
	if got != "the setting `header` is missing; is `heder` meant to be it?" {
		t.Error(got)
	}
	if got := configured(t, nil, ask); got != "the setting `header` is missing" {
		t.Error(got)
	}
}

func TestValuesAreRead(t *testing.T) {
	entries := []abi.Setting{{Name: "f.1", Value: "b"}, {Name: "f.0", Value: "a"}, {Name: "on", Value: "true"}, {Name: "off", Value: "no"}}
	got := configured(t, entries, func(settings *Settings) error {
		if list := settings.List("f"); !slices.Equal(list, []string{"a", "b"}) {
			t.Errorf("%q", list)
		}
		if on, err := settings.Flag("on"); !on || err != nil {
			t.Error(on, err)
		}
		if missing := settings.Or("missing", "else"); missing != "else" {
			t.Error(missing)
		}
		_, err := settings.Flag("off")
		return err
	})
	if got != `off = "no": must be "true" or "false"` {
		t.Error(got)
	}
}
