package config

import (
	"strconv"
	"strings"
)

// section is one table of a file after its keys are checked one by one.
type section struct {
	*reader
	table *table
	node  *node
	vals  map[string]value
	kids  map[string][]section // by name of the table inside
}

// value is one key of a section that the file has, or that has a default.
type value struct {
	val   any    // what its kind made of it; nil where that failed. Of a list: nothing
	elems []elem // of a list: the good elements
	node  *node  // nil: not written
	bad   bool   // a problem was reported

	refused []any // what the file has and the kind does not accept; elements of a list
}

// elem is one good element of a list.
type elem struct {
	val  any
	node *node
}

// reader collects what is wrong with a file while it is read.
type reader struct {
	src      *source
	problems []Problem
	warnings []Problem
}

func (r *reader) fail(off int, format string, args ...any) {
	r.problems = append(r.problems, r.src.problem(off, format, args...))
}

func (r *reader) warn(off int, format string, args ...any) {
	r.warnings = append(r.warnings, r.src.problem(off, format, args...))
}

// line returns the line of a byte offset, to name it in a message.
func (r *reader) line(off int) int {
	n, _ := r.src.at(off)
	return n
}

// subs returns the tables of kind t inside a table: exactly one, perhaps with
// nothing written in it, unless t is an array.
func (r *reader) subs(t *table, parent map[string]any, at *node) []section {
	raw, found := parent[t.name]
	if !found {
		if t.array {
			return nil
		}
		return []section{r.section(t, nil, nil)}
	}
	n := at.kid(t.name, at.val)
	switch raw := raw.(type) {
	case map[string]any:
		if t.array {
			r.fail(n.key, "[%s] is one table: write %s, once for each", t.name, t.header())
		}
		return []section{r.section(t, raw, n)}
	case []map[string]any:
		elems := make([]any, len(raw))
		for i := range raw {
			elems[i] = raw[i]
		}
		return r.array(t, elems, n)
	case []any:
		return r.array(t, raw, n)
	}
	r.fail(n.val, "%s = %s is %s: write a table, %s", t.name, show(raw), typeOf(raw), t.form())
	if t.array {
		return nil
	}
	return []section{{reader: r, table: t, node: n, vals: r.defaults(t)}}
}

// array reads the elements of an array of tables.
func (r *reader) array(t *table, raw []any, n *node) []section {
	if !t.array {
		r.fail(n.key, "%s may stand only once, and is not an array: write %s", t.name, t.header())
	}
	var out []section
	for i, e := range raw {
		at := n.elem(i)
		m, ok := e.(map[string]any)
		if !ok {
			r.fail(at.val, "%s: %s is %s: write a table, %s", t.name, show(e), typeOf(e), t.form())
			continue
		}
		out = append(out, r.section(t, m, at))
	}
	if !t.array && len(out) != 1 {
		return []section{{reader: r, table: t, node: n, vals: r.defaults(t)}}
	}
	return out
}

// elem returns the node of an element; n itself if the shapes differ, which
// they do not for text that decodes.
func (n *node) elem(i int) *node {
	if i < len(n.list) {
		return n.list[i]
	}
	return n
}

// section reads the keys of one table. A nil node is a table that the file
// does not have.
func (r *reader) section(t *table, raw map[string]any, n *node) section {
	s := section{reader: r, table: t, node: n, vals: r.defaults(t)}
	for name, v := range raw {
		at := n.kid(name, n.val)
		switch k := t.key(name); {
		case k != nil:
			s.vals[name] = r.value(k, v, at)
		case t.kid(name) == nil:
			r.unknown(t, name, v, at)
		}
	}
	for _, k := range t.kids {
		if s.kids == nil {
			s.kids = map[string][]section{}
		}
		s.kids[k.name] = r.subs(k, raw, n)
	}
	for _, k := range t.keys {
		if _, found := raw[k.name]; k.required && !found {
			r.missing(t, k, n)
		}
	}
	return s
}

func (r *reader) missing(t *table, k key, n *node) {
	if n == nil {
		r.fail(nowhere, "%s %s is missing: write %s", t.header(), k.name, k.kind.want)
		return
	}
	r.fail(n.key, "%s has no %s: write %s", t.header(), k.name, k.kind.want)
}

func (r *reader) defaults(t *table) map[string]value {
	vals := make(map[string]value, len(t.keys))
	for _, k := range t.keys {
		if k.def != nil {
			v, _ := k.kind.parse(k.def)
			vals[k.name] = value{val: v}
		}
	}
	return vals
}

// value reads one value.
func (r *reader) value(k *key, raw any, n *node) value {
	if k.kind.list {
		return r.list(k, raw, n)
	}
	v, err := k.kind.parse(raw)
	if err != nil {
		r.fail(n.val, "%s = %s %v", k.name, show(raw), err)
		return value{node: n, bad: true, refused: []any{raw}}
	}
	return value{val: v, node: n}
}

// list reads an array, element by element. The same element twice is a slip.
func (r *reader) list(k *key, raw any, n *node) value {
	out := value{node: n}
	items, ok := raw.([]any)
	if !ok && k.kind.single {
		items, ok = []any{raw}, true
	}
	if !ok {
		r.fail(n.val, "%s = %s is %s: write %s", k.name, show(raw), typeOf(raw), arrayOf(k, raw))
		out.bad, out.refused = true, []any{raw}
		return out
	}
	seen := map[any]*node{}
	for i, item := range items {
		at := n.elem(i)
		v, err := k.kind.parse(item)
		if err != nil {
			r.fail(at.val, "%s: %s %v", k.name, show(item), err)
			out.bad, out.refused = true, append(out.refused, item)
			continue
		}
		if first := seen[v]; first != nil {
			r.fail(at.val, "%s: %s is listed twice, on line %d too: write it once", k.name, show(item), r.line(first.val))
			continue
		}
		seen[v] = at
		out.elems = append(out.elems, elem{v, at})
	}
	return out
}

// arrayOf says how to write a list where something else stands: the thing
// itself in brackets, where it would be a good element.
func arrayOf(k *key, raw any) string {
	if _, err := k.kind.parse(raw); err == nil {
		return "an array, [" + show(raw) + "]"
	}
	return "an array, [ ... ], each element " + k.kind.want
}

// has reports whether the file has the key, well or badly.
func (s section) has(name string) bool { return s.vals[name].node != nil }

// bad reports whether the file has the key and a problem was reported there.
func (s section) bad(name string) bool { return s.vals[name].bad }

// written returns what a refused value was meant to name: the same text for
// 7, 7.0, "7" and " 7". It is "" where that can be no name.
func (s section) written(name string) string {
	for _, raw := range s.vals[name].refused {
		switch raw := raw.(type) {
		case string:
			return strings.TrimSpace(raw)
		case int64:
			return strconv.FormatInt(raw, 10)
		case float64:
			return strconv.FormatFloat(raw, 'f', -1, 64)
		}
	}
	return ""
}

// at returns where the value of a key stands; the table's own place where the
// key is not written.
func (s section) at(name string) int {
	if n := s.vals[name].node; n != nil {
		return n.val
	}
	return s.place()
}

// place returns where the table stands.
func (s section) place() int {
	if s.node == nil {
		return nowhere
	}
	return s.node.key
}

// get returns the value of a key: the default where it is not written, the
// zero T where there is none or the value is bad.
func get[T any](s section, name string) T {
	v, _ := s.vals[name].val.(T)
	return v
}

// all returns the good elements of a list; nil where there are none.
func all[T any](s section, name string) []T {
	var out []T
	for _, e := range s.vals[name].elems {
		out = append(out, e.val.(T))
	}
	return out
}
