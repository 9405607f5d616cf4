package events

import (
	"fmt"
	"slices"
	"strings"
)

// Filter is what a listener wants to hear of. The zero Filter is everything.
type Filter struct {
	VNI   uint32 // of what is kept by VNI only this; 0: all. Other events come all the same
	types map[Type]bool
}

// Want narrows a Filter to some types, separated by commas: mac_moved, or mac for all of
// its class. An empty list leaves it as it is.
func (f *Filter) Want(list string) error {
	if list == "" {
		return nil
	}
	f.types = make(map[Type]bool)
	for word := range strings.SplitSeq(list, ",") {
		found := false
		for _, t := range Types {
			if word == string(t) || word == t.Class() {
				f.types[t], found = true, true
			}
		}
		if !found {
			return fmt.Errorf("there are no events of type %q: there is %s; and %s for all of a kind", word, joined(Types), strings.Join(classes(), ", "))
		}
	}
	return nil
}

// Class returns what a type is about: mac, port, vtep, neighbour, reload,
// config, drops or storm.
func (t Type) Class() string {
	class, _, _ := strings.Cut(string(t), "_")
	return class
}

// Passes reports whether a listener with this Filter is told of an event.
func (f *Filter) Passes(e *Event) bool {
	if f.types != nil && !f.types[e.Type] && slices.Contains(Types, e.Type) {
		return false
	}
	return f.VNI == 0 || e.VNI == 0 || e.VNI == f.VNI
}

// Wants reports whether any event of a type may pass.
func (f *Filter) Wants(t Type) bool { return f.types == nil || f.types[t] }

func joined(types []Type) string {
	words := make([]string, len(types))
	for i, t := range types {
		words[i] = string(t)
	}
	return strings.Join(words, ", ")
}

func classes() []string {
	var all []string
	for _, t := range Types {
		if c := t.Class(); c != string(t) && !slices.Contains(all, c) {
			all = append(all, c)
		}
	}
	return all
}
