package pointsman

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math/bits"
	"slices"
	"strings"
)

// Path is the way to a field of a JSON document through nested objects: "address.state". Made once, when the plugin is
// configured; finding the field allocates nothing, and takes a small part of the time that encoding/json does.
//
// A document is read from its start to the end of the field, and what is read must be well-formed; nothing is known of
// what follows. Where an object has a name twice, the first counts.
type Path struct{ names [][]byte }

// JSONValue is a field's value, where it stands in the document. The zero value is of a field that is not there.
type JSONValue []byte

// NewPath reads a path; names are separated by dots. The error says which name is empty.
func NewPath(path string) (Path, error) {
	var names [][]byte
	for _, name := range strings.Split(path, ".") {
		if name == "" {
			return Path{}, fmt.Errorf("%q is no path of names with dots between them", path)
		}
		names = append(names, []byte(name))
	}
	return Path{names}, nil
}

// Find is the value at the end of the path. The error says where the document is malformed, if that is before the end of
// the field.
func (p Path) Find(document []byte) (JSONValue, error) {
	at := space(document, 0)
	for _, name := range p.names {
		if byteAt(document, at) != '{' {
			// A scalar or an array where the path goes on: there is no such field, if it is a value at all.
			_, err := located(skip(document, at, 0))
			return nil, err
		}
		at = space(document, at+1)
		if byteAt(document, at) == '}' {
			return nil, nil
		}
		for {
			start := at
			if at = member(document, at); at < 0 {
				return nil, malformed(at)
			}
			if JSONValue(document[start:stringEnd(document, start)]).Is(name) {
				break
			}
			if at = skip(document, at, 0); at < 0 {
				return nil, malformed(at)
			}
			at = space(document, at)
			if byteAt(document, at) == '}' {
				return nil, nil
			}
			if byteAt(document, at) != ',' {
				return nil, malformed(^at)
			}
			at = space(document, at+1)
		}
	}
	end, err := located(skip(document, at, 0))
	if err != nil {
		return nil, err
	}
	return JSONValue(document[at:end]), nil
}

// IsString says whether it is a string.
func (v JSONValue) IsString() bool { return len(v) > 0 && v[0] == '"' }

// Is says whether it is this string.
func (v JSONValue) Is(text []byte) bool {
	if !v.IsString() {
		return false
	}
	raw := v[1 : len(v)-1]
	if bytes.IndexByte(raw, '\\') < 0 {
		return bytes.Equal(raw, text)
	}
	unescaped, _ := v.Text()
	return unescaped == string(text)
}

// Text is the string without its escapes; false if it is none.
func (v JSONValue) Text() (string, bool) {
	if !v.IsString() {
		return "", false
	}
	if raw := v[1 : len(v)-1]; bytes.IndexByte(raw, '\\') < 0 {
		return string(raw), true
	}
	var text string
	err := json.Unmarshal(v, &text)
	return text, err == nil
}

// Functions below answer with the place behind what they read. Where that is malformed at a place, they answer ^place,
// which is negative.

func malformed(place int) error { return fmt.Errorf("not JSON at byte %d", ^place) }

func located(place int) (int, error) {
	if place < 0 {
		return 0, malformed(place)
	}
	return place, nil
}

// Zero, which begins nothing, at the end.
func byteAt(text []byte, at int) byte {
	if at < len(text) {
		return text[at]
	}
	return 0
}

func space(text []byte, at int) int {
	for at < len(text) && (text[at] == ' ' || text[at] == '\t' || text[at] == '\n' || text[at] == '\r') {
		at++
	}
	return at
}

// member reads a name and the colon; the value is next.
func member(text []byte, at int) int {
	if at = stringEnd(text, at); at < 0 {
		return at
	}
	if at = space(text, at); byteAt(text, at) != ':' {
		return ^at
	}
	return space(text, at+1)
}

// How deep may nest what is passed over.
const depthMax = 64

func skip(text []byte, at, depth int) int {
	switch first := byteAt(text, at); first {
	case '"':
		return stringEnd(text, at)
	case '{', '[':
		return containerEnd(text, at, first == '{', depth)
	case 't':
		return literalEnd(text, at, "true")
	case 'f':
		return literalEnd(text, at, "false")
	case 'n':
		return literalEnd(text, at, "null")
	default:
		return numberEnd(text, at)
	}
}

func containerEnd(text []byte, at int, object bool, depth int) int {
	if depth == depthMax {
		return ^at
	}
	closing := byte(']')
	if object {
		closing = '}'
	}
	if at = space(text, at+1); byteAt(text, at) == closing {
		return at + 1
	}
	for {
		if object {
			if at = member(text, at); at < 0 {
				return at
			}
		}
		if at = skip(text, at, depth+1); at < 0 {
			return at
		}
		switch at = space(text, at); byteAt(text, at) {
		case closing:
			return at + 1
		case ',':
			at = space(text, at+1)
		default:
			return ^at
		}
	}
}

// stringEnd goes eight bytes at once where there is neither a quote, a backslash nor a control character.
func stringEnd(text []byte, at int) int {
	if byteAt(text, at) != '"' {
		return ^at
	}
	for at++; at < len(text); {
		if len(text)-at >= 8 {
			found := special(binary.LittleEndian.Uint64(text[at:]))
			if found == 0 {
				at += 8
				continue
			}
			at += bits.TrailingZeros64(found) / 8
		}
		switch letter := text[at]; {
		case letter == '"':
			return at + 1
		case letter == '\\':
			length := escapeLength(text[at:])
			if length == 0 {
				return ^at
			}
			at += length
		case letter < 0x20:
			return ^at
		default:
			at++
		}
	}
	return ^at
}

// special has the top bit of the first byte that is no plain letter of a string; bits of later bytes may be wrong.
func special(word uint64) uint64 {
	const ones, tops = 0x0101010101010101, 0x8080808080808080
	zero := func(word uint64) uint64 { return (word - ones) &^ word & tops }
	control := (word - 0x20*ones) &^ word & tops
	return zero(word^'"'*ones) | zero(word^'\\'*ones) | control
}

// escapeLength is 0 if it is none.
func escapeLength(text []byte) int {
	switch byteAt(text, 1) {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2
	case 'u':
		if len(text) >= 6 && !slices.ContainsFunc(text[2:6], func(letter byte) bool { return !isHex(letter) }) {
			return 6
		}
	}
	return 0
}

func isHex(letter byte) bool {
	return isDigit(letter) || 'a' <= letter|0x20 && letter|0x20 <= 'f'
}

func isDigit(letter byte) bool { return '0' <= letter && letter <= '9' }

func literalEnd(text []byte, at int, literal string) int {
	if !bytes.HasPrefix(text[at:], []byte(literal)) {
		return ^at
	}
	return at + len(literal)
}

func numberEnd(text []byte, at int) int {
	if byteAt(text, at) == '-' {
		at++
	}
	if byteAt(text, at) == '0' {
		at++
	} else if at = digitsEnd(text, at); at < 0 {
		return at
	}
	if byteAt(text, at) == '.' {
		if at = digitsEnd(text, at+1); at < 0 {
			return at
		}
	}
	if byteAt(text, at)|0x20 == 'e' {
		at++
		if sign := byteAt(text, at); sign == '+' || sign == '-' {
			at++
		}
		at = digitsEnd(text, at)
	}
	return at
}

// digitsEnd wants one at least.
func digitsEnd(text []byte, at int) int {
	if !isDigit(byteAt(text, at)) {
		return ^at
	}
	for isDigit(byteAt(text, at)) {
		at++
	}
	return at
}
