package top

import (
	"context"
	"slices"
	"time"

	tea "charm.land/bubbletea/v2"
)

// retry is how long to wait at the most before a gateway that is gone is asked again.
const retry = 2 * time.Second

// settling is how long after the first poll the second one is: rates take two.
const settling = time.Second

// mode is what is in the place of the table, and what keys do.
type mode uint8

const (
	browsing mode = iota
	typing        // a filter
	reading       // the details of a row
	helping       // the list of keys
)

// choice is how a table is looked at.
type choice struct {
	by      int // column
	reverse bool
	filter  string
	row     string // key; "": the first row, whichever that is
	index   int    // where that row is, or was
	offset  int    // the row at the top of the screen
}

// Model is the state of the view: a gateway as it answered last, and what is to be seen
// of it. Update changes it and View writes it; neither waits for anything.
type Model struct {
	// Set once.
	ctx   context.Context
	asker asker
	look  look

	every time.Duration // between polls
	live  frame         // the last answer
	shown frame         // what is seen: the same, unless it is paused
	lost  error         // why the gateway does not answer; nil: it does

	asking bool // a poll is on its way
	again  bool // ... and when it is back another is wanted at once
	round  int  // of waiting: a tick of an older one is void

	tab     int
	views   [numTabs]choice
	mode    mode
	before  mode   // helping
	undo    string // the filter before typing
	scroll  int    // of details
	paused  bool
	refresh bool // show the next answer though it is paused
	zeros   bool

	width, height int
	rows          []row // of the tab, as they are shown
	all           int   // how many there are without the filter
}

// newModel returns a Model that has one answer.
func newModel(ctx context.Context, a asker, o Options, p *poll) *Model {
	m := &Model{ctx: ctx, asker: a, look: o.look, every: o.Every, width: 80, height: 24, tab: o.tab}
	for i := range m.views {
		m.views[i].by = tabs[i].by
	}
	m.view().filter = o.Filter
	if o.Sort != "" {
		m.view().by = o.by
	}
	m.view().reverse = o.Reverse
	m.take(p)
	m.settle()
	return m
}

func (m *Model) view() *choice { return &m.views[m.tab] }

// answer is what came of a poll.
type answer struct {
	poll *poll
	err  error
}

// tick says that it is time for a poll: the round of waiting that has ended.
type tick int

// Init begins to poll.
func (m *Model) Init() tea.Cmd { return m.wait(min(settling, m.every)) }

// Update takes a key, a size, or an answer.
func (m *Model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	var cmd tea.Cmd
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.width, m.height = msg.Width, msg.Height
	case tea.KeyPressMsg:
		cmd = m.press(msg)
	case tea.PasteMsg:
		if m.mode == typing {
			m.view().filter += clean(msg.Content)
			cmd = m.searchAnew()
		}
	case answer:
		cmd = m.answered(msg)
	case tick:
		if int(msg) == m.round && !m.asking {
			cmd = m.ask()
		}
	}
	m.settle()
	return m, cmd
}

// question is what the next poll asks for.
func (m *Model) question() question {
	q := question{macs: m.tab == tabMACs, words: m.views[tabMACs].filter}
	if m.mode == reading || m.mode == helping && m.before == reading {
		switch m.tab {
		case tabVNIs:
			if v := find(m.shown.VNIs, m.view().row, vniKey); v != nil {
				q.vni = v.VNI
			}
		case tabVTEPs:
			if v := find(m.shown.VTEPs, m.view().row, vtepKey); v != nil {
				q.vtep = v.Address
			}
		}
	}
	return q
}

func (m *Model) ask() tea.Cmd {
	m.asking = true
	ctx, a, q := m.ctx, m.asker, m.question()
	return func() tea.Msg {
		p, err := a.ask(ctx, q)
		return answer{p, err}
	}
}

// askNow polls without waiting, and shows the answer even where it is paused.
func (m *Model) askNow() tea.Cmd {
	m.refresh = true
	if m.asking {
		m.again = true
		return nil
	}
	m.round++
	return m.ask()
}

func (m *Model) wait(d time.Duration) tea.Cmd {
	m.round++
	round := m.round
	return tea.Tick(d, func(time.Time) tea.Msg { return tick(round) })
}

func (m *Model) answered(a answer) tea.Cmd {
	m.asking = false
	if m.lost = a.err; a.err == nil {
		m.take(a.poll)
	} else {
		m.live.meter.lose()
		if !m.paused {
			m.shown.meter.lose()
		}
	}
	if m.again {
		m.again = false
		return m.ask()
	}
	return m.wait(m.rest())
}

// rest is how long to wait for the next poll.
func (m *Model) rest() time.Duration {
	if m.lost != nil {
		return min(retry, m.every)
	}
	return m.every
}

// take takes an answer.
func (m *Model) take(p *poll) {
	m.live.poll = p
	m.live.meter.take(&p.Overview)
	if !m.paused || m.refresh && p.question == m.question() {
		m.shown, m.refresh = m.live, false
	}
}

// settle brings what is chosen into line with the rows there are.
func (m *Model) settle() {
	v, t := m.view(), &tabs[m.tab]
	m.rows = t.rows(&m.shown, m.zeros)
	m.all = len(m.rows)
	if m.tab != tabMACs { // there the gateway itself looks for the words
		m.rows = filtered(m.rows, v.filter)
	}
	order(m.rows, t.columns, v.by, v.reverse)
	last := max(0, len(m.rows)-1)
	if v.row == "" {
		v.index = 0
	} else if i := m.indexOf(v.row); i >= 0 {
		v.index = i
	}
	v.index = min(v.index, last)
	if page := m.page(); page > 0 {
		v.offset = min(max(v.offset, v.index-page+1), v.index, max(0, len(m.rows)-page))
	}
}

func (m *Model) indexOf(name string) int {
	return slices.IndexFunc(m.rows, func(r row) bool { return r.key == name })
}
