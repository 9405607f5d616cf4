package config

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// unknown reports a key or a table that the format does not have.
func (r *reader) unknown(t *table, name string, raw any, n *node) {
	if isTable(raw) {
		r.unknownTable(t, name, n)
		return
	}
	if homes := homesOf(fileTable, name); len(homes) > 0 && t.key(name) == nil {
		r.fail(n.key, "unknown key %s%s: it belongs in %s", show(name), in(t), either(homes))
		return
	}
	known := keyNames(t)
	if near := Nearest(name, known); near != "" {
		r.fail(n.key, "unknown key %s: did you mean %q?", show(name), near)
		return
	}
	if t == fileTable {
		r.fail(n.key, "unknown key %s: every key belongs in a table, %s", show(name), either(tableHeaders(t)))
		return
	}
	r.fail(n.key, "unknown key %s%s: the keys there are %s", show(name), in(t), strings.Join(known, ", "))
}

func (r *reader) unknownTable(t *table, name string, n *node) {
	var names []string
	for _, k := range t.kids {
		names = append(names, k.name)
	}
	switch near := Nearest(name, names); {
	case near != "":
		r.fail(n.key, "unknown table %s: did you mean %s?", show(name), t.kid(near).header())
	case len(names) > 0:
		r.fail(n.key, "unknown table %s%s: the tables are %s", show(name), in(t), strings.Join(tableHeaders(t), ", "))
	default:
		r.fail(n.key, "unknown table %s%s: no table belongs there", show(name), in(t))
	}
}

func isTable(raw any) bool {
	switch raw.(type) {
	case map[string]any, []map[string]any:
		return true
	}
	return false
}

// in says which table a message is about; nothing for the file itself.
func in(t *table) string {
	if t == fileTable {
		return ""
	}
	return " in " + t.header()
}

func keyNames(t *table) []string {
	var names []string
	for _, k := range t.keys {
		names = append(names, k.name)
	}
	return names
}

func tableHeaders(t *table) []string {
	var names []string
	for _, k := range t.kids {
		names = append(names, k.header())
	}
	return names
}

// homesOf returns the headers of the tables that have a key of this name.
func homesOf(t *table, name string) []string {
	var homes []string
	if t.key(name) != nil {
		homes = append(homes, t.header())
	}
	for _, k := range t.kids {
		homes = append(homes, homesOf(k, name)...)
	}
	return homes
}

// Nearest returns the known word that a misspelt one most likely was, "" if
// none is near. About a third of the letters may be wrong.
func Nearest(word string, known []string) string {
	word = strings.ReplaceAll(strings.ToLower(word), "-", "_")
	best, bestDist := "", 0
	for _, k := range known {
		limit := (len(k) + 1) / 3
		if n := utf8.RuneCountInString(word); n > len(k)+limit || n < len(k)-limit {
			continue
		}
		if d := distance(word, k); d <= limit && (best == "" || d < bestDist) {
			best, bestDist = k, d
		}
	}
	return best
}

// distance returns how many letters must be put in, taken out, replaced or
// swapped with a neighbour to make b of a (optimal string alignment).
func distance(a, b string) int {
	s, t := []rune(a), []rune(b)
	d := make([][]int, len(s)+1)
	for i := range d {
		d[i] = make([]int, len(t)+1)
		d[i][0] = i
	}
	for j := range d[0] {
		d[0][j] = j
	}
	for i := 1; i <= len(s); i++ {
		for j := 1; j <= len(t); j++ {
			cost := 1
			if s[i-1] == t[j-1] {
				cost = 0
			}
			d[i][j] = slices.Min([]int{d[i-1][j] + 1, d[i][j-1] + 1, d[i-1][j-1] + cost})
			if i > 1 && j > 1 && s[i-1] == t[j-2] && s[i-2] == t[j-1] {
				d[i][j] = min(d[i][j], d[i-2][j-2]+1)
			}
		}
	}
	return d[len(s)][len(t)]
}
