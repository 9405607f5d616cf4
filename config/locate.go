package config

import (
	"errors"
	"strings"

	"github.com/BurntSushi/toml"
)

// maxNesting bounds how deep tables, arrays and dotted keys may nest. The file
// format needs three levels; a decoder that follows a hundred thousand needs
// minutes and gigabytes.
const maxNesting = 16

var (
	errNesting = errors.New("nested too deep")
	errSyntax  = errors.New("not TOML") // the decoder says it better
)

// node is where one value stands in the text. A value decoded by the TOML
// library and its node have the same shape.
type node struct {
	key  int              // byte offset of its key, or of the key's last part
	val  int              // byte offset of the value; of the key for a [table]
	kids map[string]*node // of a table
	list []*node          // of an array
}

// kid returns the node of a key, made on first sight.
func (n *node) kid(name string, at int) *node {
	k := n.kids[name]
	if k == nil {
		k = &node{key: at, val: at}
		if n.kids == nil {
			n.kids = map[string]*node{}
		}
		n.kids[name] = k
	}
	return k
}

// locator finds where every key and value of a TOML text is written, which the
// TOML library does not tell. It reads valid TOML exactly and any other text
// without harm: it stops, with an error, at or before the first place that is
// not TOML.
type locator struct {
	text string
	pos  int
}

// locate returns the positions in a text. The error is errNesting or errSyntax,
// with the offset where it was met.
func locate(text string) (root *node, at int, err error) {
	l := &locator{text: text}
	root = &node{}
	err = l.document(root)
	return root, l.pos, err
}

func (l *locator) document(root *node) error {
	table := root
	for {
		l.skipBlank()
		var err error
		switch {
		case l.pos >= len(l.text):
			return nil
		case l.text[l.pos] == '[':
			table, err = l.header(root)
		default:
			err = l.pair(table, 0)
		}
		if err != nil {
			return err
		}
	}
}

// header reads [a.b] or [[a.b]] and returns the table that it opens.
func (l *locator) header(root *node) (*node, error) {
	l.pos++
	array := l.take('[')
	parts, err := l.key()
	if err != nil {
		return nil, err
	}
	if !l.take(']') || array && !l.take(']') {
		return nil, errSyntax
	}
	n := root
	for _, p := range parts[:len(parts)-1] {
		n = n.kid(p.name, p.at).last()
	}
	p := parts[len(parts)-1]
	n = n.kid(p.name, p.at)
	if !array {
		n = n.last()
		n.key, n.val = p.at, p.at // an earlier [a.b] may have implied this [a]
		return n, nil
	}
	elem := &node{key: p.at, val: p.at}
	n.list = append(n.list, elem)
	return elem, nil
}

// last returns the table that a header means by the name of an array of
// tables: the newest one.
func (n *node) last() *node {
	if len(n.list) > 0 {
		return n.list[len(n.list)-1]
	}
	return n
}

// pair reads `key = value` into a table.
func (l *locator) pair(table *node, depth int) error {
	parts, err := l.key()
	if err != nil {
		return err
	}
	if !l.take('=') {
		return errSyntax
	}
	for _, p := range parts {
		// An array of tables on the way is invalid TOML, which the library
		// takes for its newest table.
		table = table.last().kid(p.name, p.at)
	}
	l.skipSpace()
	table.val = l.pos
	return l.value(table, depth+len(parts))
}

// value reads one value into its node.
func (l *locator) value(n *node, depth int) error {
	if depth > maxNesting {
		return errNesting
	}
	if l.pos >= len(l.text) {
		return errSyntax
	}
	switch c := l.text[l.pos]; c {
	case '[':
		return l.items(']', func() error {
			elem := &node{key: l.pos, val: l.pos}
			n.list = append(n.list, elem)
			return l.value(elem, depth+1)
		})
	case '{':
		return l.items('}', func() error { return l.pair(n, depth) })
	case '"', '\'':
		_, err := l.quoted(true)
		return err
	default:
		return l.bare()
	}
}

// items reads what stands between brackets, each followed by a comma or by the
// end. Line breaks, comments and a comma before the end are taken in both
// kinds (TOML 1.1; TOML 1.0 has them in arrays only).
func (l *locator) items(end byte, item func() error) error {
	l.pos++
	for {
		l.skipBlank()
		if l.take(end) {
			return nil
		}
		if err := item(); err != nil {
			return err
		}
		l.skipBlank()
		if !l.take(',') && (l.pos >= len(l.text) || l.text[l.pos] != end) {
			return errSyntax
		}
	}
}

// bare reads a number, a date or a boolean. A date and its time may have one
// space between them; what follows it reads as bare too.
func (l *locator) bare() error {
	end := strings.IndexAny(l.text[l.pos:], ",]}#\r\n")
	if end < 0 {
		end = len(l.text) - l.pos
	}
	if end == 0 {
		return errSyntax
	}
	l.pos += end
	return nil
}

// part is one part of a dotted key.
type part struct {
	name string
	at   int
}

// key reads a dotted key and the space around it.
func (l *locator) key() ([]part, error) {
	var parts []part
	for {
		if len(parts) >= maxNesting {
			return nil, errNesting
		}
		l.skipSpace()
		at := l.pos
		name, err := l.keyPart()
		if err != nil {
			return nil, err
		}
		parts = append(parts, part{name, at})
		l.skipSpace()
		if !l.take('.') {
			return parts, nil
		}
	}
}

func (l *locator) keyPart() (string, error) {
	if l.pos < len(l.text) && (l.text[l.pos] == '"' || l.text[l.pos] == '\'') {
		return l.quoted(false)
	}
	start := l.pos
	for l.pos < len(l.text) && isBareKey(l.text[l.pos]) {
		l.pos++
	}
	if start == l.pos {
		return "", errSyntax
	}
	return l.text[start:l.pos], nil
}

func isBareKey(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-'
}

// quoted reads a string of any of the four kinds. The text is returned for a
// key only, which may not be of a kind with three quotes.
func (l *locator) quoted(value bool) (string, error) {
	q := l.text[l.pos : l.pos+1]
	if value && strings.HasPrefix(l.text[l.pos:], q+q+q) {
		return "", l.tripleQuoted(q)
	}
	start := l.pos
	l.pos++
	for l.pos < len(l.text) {
		switch c := l.text[l.pos]; {
		case c == '\n':
			return "", errSyntax
		case c == '\\' && q == `"`:
			l.pos += 2
		case c == q[0]:
			l.pos++
			if value {
				return "", nil
			}
			return unquoteKey(l.text[start:l.pos])
		default:
			l.pos++
		}
	}
	l.pos = len(l.text)
	return "", errSyntax
}

// tripleQuoted reads a string between three quotes. It may end in up to two
// quotes of its own.
func (l *locator) tripleQuoted(q string) error {
	l.pos += 3
	end := q + q + q
	for l.pos < len(l.text) {
		switch {
		case l.text[l.pos] == '\\' && q == `"`:
			l.pos += 2
		case strings.HasPrefix(l.text[l.pos:], end):
			l.pos += 3
			for range 2 {
				if !l.take(q[0]) {
					break
				}
			}
			return nil
		default:
			l.pos++
		}
	}
	l.pos = len(l.text)
	return errSyntax
}

// unquoteKey returns what a quoted key means. One with escapes is rare enough
// to ask the TOML library.
func unquoteKey(quoted string) (string, error) {
	if quoted[0] == '\'' || !strings.Contains(quoted, `\`) {
		return quoted[1 : len(quoted)-1], nil
	}
	var v struct{ K string }
	if _, err := toml.Decode("K = "+quoted, &v); err != nil {
		return "", errSyntax
	}
	return v.K, nil
}

// take steps over c if it comes next.
func (l *locator) take(c byte) bool {
	if l.pos < len(l.text) && l.text[l.pos] == c {
		l.pos++
		return true
	}
	return false
}

func (l *locator) skipSpace() {
	for l.pos < len(l.text) && (l.text[l.pos] == ' ' || l.text[l.pos] == '\t') {
		l.pos++
	}
}

// skipBlank steps over space, line breaks and comments.
func (l *locator) skipBlank() {
	for l.pos < len(l.text) {
		switch l.text[l.pos] {
		case ' ', '\t', '\r', '\n':
			l.pos++
		case '#':
			end := strings.IndexAny(l.text[l.pos:], "\r\n")
			if end < 0 {
				end = len(l.text) - l.pos
			}
			l.pos += end
		default:
			return
		}
	}
}
