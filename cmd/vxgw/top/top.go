// Package top is the live view of `vxgw top`: a gateway's tables with rates, in a
// terminal or line by line.
package top

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"

	"vxgw/gateway/api"
)

// Options say what is shown at first.
type Options struct {
	Every   time.Duration // between polls; MinEvery at the least
	Tab     string        // the table, as TabNames has it; "": the first
	Filter  string        // words that a row of it has; of MACs, as GET /v1/macs/search takes them
	Sort    string        // the column of it to sort by, as its head has it; "": as it is made for
	Reverse bool

	tab, by int // what Tab and Sort name
	look    look
}

// MinEvery is the least time between polls: a gateway answers all who ask within about
// a second with the same.
const MinEvery = time.Second

// TabNames are the tables there are.
func TabNames() []string {
	names := make([]string, len(tabs))
	for i, t := range tabs {
		names[i] = strings.ToLower(t.name)
	}
	return names
}

// Check says, for people, what is wrong with options.
func (o *Options) Check() error {
	if o.Every < MinEvery {
		return fmt.Errorf("delay %v: a gateway is asked once in %v at the most", o.Every, MinEvery)
	}
	o.tab = 0
	if o.Tab != "" {
		if o.tab = slices.Index(TabNames(), strings.ToLower(o.Tab)); o.tab < 0 {
			return fmt.Errorf("there is no table of %q: there is %s", o.Tab, strings.Join(TabNames(), ", "))
		}
	}
	if o.Sort == "" {
		return nil
	}
	t := &tabs[o.tab]
	o.by = slices.IndexFunc(t.columns, func(c column) bool { return strings.EqualFold(c.head, o.Sort) })
	if o.by < 0 {
		var heads []string
		for _, c := range t.columns {
			heads = append(heads, strings.ToLower(c.head))
		}
		return fmt.Errorf("%s have no column %q: there is %s", t.name, o.Sort, strings.Join(heads, ", "))
	}
	return nil
}

// Run shows the gateway in a terminal until the user has seen enough, or ctx ends. A
// gateway that does not answer at first is an error; one that goes later is waited for.
// Check has found nothing wrong with o.
func Run(ctx context.Context, c *api.Client, in io.Reader, out io.Writer, o Options) error {
	o.look = colours()
	a := &client{api: c}
	p, err := a.ask(ctx, question{macs: o.tab == tabMACs, words: o.Filter})
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop() // a poll that is on its way at the end
	_, err = tea.NewProgram(newModel(ctx, a, o, p), tea.WithContext(ctx), tea.WithInput(in), tea.WithOutput(out)).Run()
	if errors.Is(err, tea.ErrInterrupted) || ctx.Err() != nil {
		return nil // it is how one ends it
	}
	return err
}
