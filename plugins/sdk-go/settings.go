package pointsman

import (
	"fmt"
	"maps"
	"pointsman/internal/abi"
	"slices"
	"strings"
)

// Settings is the plugin's table in the producer's config file, flattened: regions.CA = "0" is the entry "regions.CA",
// and the array fields = ["a", "b"] the entries "fields.0" and "fields.1".
//
// A plugin need not list what it knows: an entry that it did not ask for when it was configured is reported as a
// mistake, with the known name that it resembles.
type Settings struct {
	entries  []abi.Setting
	names    map[string]bool
	prefixes map[string]bool
}

// Get is the value of a setting; false if it is not there.
func (s *Settings) Get(name string) (string, bool) {
	s.names[name] = true
	for _, entry := range s.entries {
		if entry.Name == name {
			return entry.Value, true
		}
	}
	return "", false
}

// Or is the value of a setting, or this one if it is not there.
func (s *Settings) Or(name, value string) string {
	if found, ok := s.Get(name); ok {
		return found
	}
	return value
}

// Required is the value of a setting that must be there. The error names the entry that looks like a misspelling of it.
func (s *Settings) Required(name string) (string, error) {
	if found, ok := s.Get(name); ok {
		return found, nil
	}
	var there []string
	for _, entry := range s.entries {
		there = append(there, entry.Name)
	}
	if entry, ok := nearest(name, there); ok {
		return "", fmt.Errorf("the setting `%s` is missing; is `%s` meant to be it?", name, entry)
	}
	return "", fmt.Errorf("the setting `%s` is missing", name)
}

// Flag is true or false; false if it is not there.
func (s *Settings) Flag(name string) (bool, error) {
	switch value, ok := s.Get(name); {
	case !ok || value == "false":
		return false, nil
	case value == "true":
		return true, nil
	default:
		return false, fmt.Errorf("%s = %q: must be \"true\" or \"false\"", name, value)
	}
}

// Under is the entries below a name: Under("regions") has "CA" with its value for regions.CA.
func (s *Settings) Under(name string) map[string]string {
	prefix := name + "."
	s.prefixes[prefix] = true
	below := map[string]string{}
	for _, entry := range s.entries {
		if rest, ok := strings.CutPrefix(entry.Name, prefix); ok {
			below[rest] = entry.Value
		}
	}
	return below
}

// List is the values of an array, in order: fields = ["a", "b"]. One string counts as an array of one.
func (s *Settings) List(name string) []string {
	var values []string
	if value, ok := s.Get(name); ok {
		values = append(values, value)
	}
	for {
		value, ok := s.Get(fmt.Sprintf("%s.%d", name, len(values)))
		if !ok {
			return values
		}
		values = append(values, value)
	}
}

// Configure makes a plugin from its table, and refuses entries that it did not ask for. It is for the packages of the
// roles.
func Configure(entries []abi.Setting, configure func(*Settings) error) error {
	settings := &Settings{entries, map[string]bool{}, map[string]bool{}}
	if err := configure(settings); err != nil {
		return err
	}
	return settings.checkUnknown()
}

func (s *Settings) checkUnknown() error {
	unknown := slices.IndexFunc(s.entries, func(entry abi.Setting) bool {
		for prefix := range s.prefixes {
			if strings.HasPrefix(entry.Name, prefix) {
				return false
			}
		}
		return !s.names[entry.Name]
	})
	if unknown < 0 {
		return nil
	}
	entry := s.entries[unknown].Name
	names, prefixes := slices.Sorted(maps.Keys(s.names)), slices.Sorted(maps.Keys(s.prefixes))
	meant, ok := nearest(entry, names)
	if !ok {
		// "region.CA" for "regions.CA": compare what stands before the dot with the prefixes.
		if head, rest, dotted := strings.Cut(entry, "."); dotted {
			if meant, ok = nearest(head+".", prefixes); ok {
				meant += rest
			}
		}
	}
	if ok {
		return fmt.Errorf("the setting `%s` is not known here; is `%s` meant?", entry, meant)
	}
	for _, prefix := range prefixes {
		names = append(names, prefix+"*")
	}
	if len(names) == 0 {
		return fmt.Errorf("the setting `%s` is not known here: there are none", entry)
	}
	return fmt.Errorf("the setting `%s` is not known here; known are %s", entry, strings.Join(names, ", "))
}

// nearest is the candidate with the fewest edits, if they are few for its length.
func nearest(name string, candidates []string) (string, bool) {
	best, edits := "", len(name)
	for _, candidate := range candidates {
		if found := distance(name, candidate); found < edits {
			best, edits = candidate, found
		}
	}
	return best, edits <= 2 && edits*2 < len(best)
}

// distance is Levenshtein's.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replaced := diagonal
			if a[i] != b[j] {
				replaced++
			}
			diagonal = row[j+1]
			row[j+1] = min(replaced, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
