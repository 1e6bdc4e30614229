package pointsman

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"strings"
	"testing"
)

func find(t *testing.T, path, document string) (string, string) {
	t.Helper()
	made, err := NewPath(path)
	if err != nil {
		t.Fatal(err)
	}
	value, err := made.Find([]byte(document))
	if err != nil {
		return string(value), err.Error()
	}
	return string(value), ""
}

func TestAFieldIsFoundWhereverItStands(t *testing.T) {
	for _, row := range [][3]string{
		{"a", `{"a":1}`, `1`},
		{"a", ` { "b" : [1, {"a": 2}, "a"] , "a" : "x" } `, `"x"`},
		{"a.b", `{"a":{"c":{},"b":[true, null]},"b":1}`, `[true, null]`},
		{"a", `{"a":1,"a":2}`, `1`},
		{"a b", `{"\u0061\u0020b":-0.5e+7}`, `-0.5e+7`},
		{"a", `{"b":"a long string with \"quotes\" and \\ in it","a":{}}`, `{}`},
		{"a", `{}`, ``},
		{"a.b", `{"a":"b"}`, ``},
		{"a", `[{"a":1}]`, ``},
		{"ä", `{"ä":"Zoë"}`, `"Zoë"`},
	} {
		if value, err := find(t, row[0], row[1]); value != row[2] || err != "" {
			t.Errorf("%s in %s: %q %s", row[0], row[1], value, err)
		}
	}
}

func TestWhatIsReadMustBeJSON(t *testing.T) {
	for document, at := range map[string]string{
		``: "0", `?`: "0", `{"b":}`: "5", `{"b":1 "a":2}`: "7", `{"b":01,"a":2}`: "6", `{"b":"` + "\n" + `"}`: "6",
		`{"b":"\x","a":1}`: "6", `{"b":[1,],"a":1}`: "8", `{"b":tru,"a":1}`: "5", `{"b":1.,"a":1}`: "7", `{"a":"`: "6",
		`{"b":` + strings.Repeat("[", 65): "69",
	} {
		if value, err := find(t, "a", document); err != "not JSON at byte "+at {
			t.Errorf("%s: %q %q", document, value, err)
		}
	}
	// What follows is not looked at.
	if value, err := find(t, "a", `{"a":1,?`); value != "1" || err != "" {
		t.Error(value, err)
	}
	if _, err := NewPath("a..b"); err == nil {
		t.Error("a path has an empty name")
	}
}

// Against encoding/json: whatever it takes is found as it has it, and whatever is taken here up to the end it takes.
func TestAgreesWithEncodingJSON(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	parts := []string{
		`{`, `}`, `[`, `]`, `,`, `:`, `"a"`, `"b"`, `"\u0061"`, `"long and \n escaped é"`, `"`, `\`, ` `, "\t", `1`, `-2.5e3`,
		`0`, `.`, `e`, `true`, `null`, `"x\"y"`, "\x01", `"12345678"`, `"\ud83d\ude00"`,
	}
	path, _ := NewPath("a")
	found := 0
	for range 300_000 {
		var document bytes.Buffer
		document.WriteString(`{"b":`)
		for range random.IntN(7) {
			document.WriteString(parts[random.IntN(len(parts))])
		}
		document.WriteString(`,"a":`)
		document.WriteString(parts[random.IntN(len(parts))])
		document.WriteString(`}`)
		value, err := path.Find(document.Bytes())
		var members []struct {
			name  string
			value json.RawMessage
		}
		valid := json.Valid(document.Bytes())
		if valid && err != nil {
			t.Fatalf("%s: %v", document.Bytes(), err)
		}
		if !valid {
			continue
		}
		// The first member of that name, as encoding/json has them.
		decoder := json.NewDecoder(bytes.NewReader(document.Bytes()))
		decoder.Token()
		for decoder.More() {
			name, _ := decoder.Token()
			var raw json.RawMessage
			if decoder.Decode(&raw) != nil {
				t.Fatal(document.String())
			}
			members = append(members, struct {
				name  string
				value json.RawMessage
			}{name.(string), raw})
		}
		for _, member := range members {
			if member.name != "a" {
				continue
			}
			if !bytes.Equal(member.value, value) {
				t.Fatalf("%s: %q, not %q", document.Bytes(), value, member.value)
			}
			if value.IsString() {
				var want string
				if json.Unmarshal(value, &want); !value.Is([]byte(want)) {
					t.Fatalf("%s is not %q", value, want)
				}
			}
			found++
			break
		}
	}
	if found < 1_000 {
		t.Fatalf("only %d documents were JSON", found)
	}
}
