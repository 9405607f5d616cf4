package vrf

import (
	"iter"
	"net/netip"

	"github.com/gaissmai/bart"
)

// Table is the routes of one VRF. It is immutable and may be read by any number of
// goroutines. The zero Table, and nil, have no routes.
type Table struct {
	fib *bart.Fast[*Route]
}

// Build returns a table of routes. Of two with one prefix the one with the more
// believed Origin stays, of two with the same the last.
func Build(routes iter.Seq[Route]) *Table {
	t := &Table{}
	for r := range routes {
		p := r.Prefix.Masked()
		r.Prefix = p
		if was := t.exact(p); was != nil && was.Origin < r.Origin {
			continue
		}
		if t.fib == nil {
			t.fib = new(bart.Fast[*Route])
		}
		t.fib.Insert(p, &r)
	}
	return t
}

// Exact returns the route for just that prefix, nil where there is none.
func (t *Table) Exact(p netip.Prefix) *Route {
	if t == nil {
		return nil
	}
	return t.exact(p.Masked())
}

func (t *Table) exact(p netip.Prefix) *Route {
	if t.fib == nil {
		return nil
	}
	r, _ := t.fib.Get(p)
	return r
}

// With returns a table that has a route too, in the place of the one with its prefix
// if there is one. t stays as it is. It costs what the way to the prefix costs, not
// what the table does.
func (t *Table) With(r Route) *Table {
	r.Prefix = r.Prefix.Masked()
	fib := t.fib
	if fib == nil {
		fib = new(bart.Fast[*Route])
	}
	return &Table{fib: fib.InsertPersist(r.Prefix, &r)}
}

// Without returns a table that has no route for just that prefix.
func (t *Table) Without(p netip.Prefix) *Table {
	if t.exact(p.Masked()) == nil {
		return t
	}
	return &Table{fib: t.fib.DeletePersist(p.Masked())}
}

// Lookup returns the route with the longest prefix that holds an address, nil where
// there is none. It takes no lock and allocates nothing.
func (t *Table) Lookup(a netip.Addr) *Route {
	if t == nil || t.fib == nil {
		return nil
	}
	r, _ := t.fib.Lookup(a)
	return r
}

// All yields the routes by prefix, IPv4 first.
func (t *Table) All() iter.Seq[*Route] {
	return func(yield func(*Route) bool) {
		if t == nil || t.fib == nil {
			return
		}
		for _, r := range t.fib.AllSorted() {
			if !yield(r) {
				return
			}
		}
	}
}

// Len returns the number of routes.
func (t *Table) Len() int {
	if t == nil || t.fib == nil {
		return 0
	}
	return t.fib.Size()
}
