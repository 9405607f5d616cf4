package top

import (
	"strings"
	"time"

	"charm.land/bubbles/v2/key"
	tea "charm.land/bubbletea/v2"
)

// press does what a key is for.
func (m *Model) press(k tea.KeyPressMsg) tea.Cmd {
	switch {
	case k.String() == "ctrl+c":
		return tea.Quit
	case key.Matches(k, keys.suspend):
		return tea.Suspend
	case m.mode == typing:
		return m.typed(k)
	case key.Matches(k, keys.quit):
		return tea.Quit
	case m.mode == helping:
		m.mode = m.before
		return nil
	case key.Matches(k, keys.help):
		m.before, m.mode = m.mode, helping
		return nil
	}
	if cmd, done := m.pressAnywhere(k); done {
		return cmd
	}
	if m.mode == reading {
		m.pressReading(k)
		return nil
	}
	return m.pressTable(k)
}

// pressAnywhere knows the keys that do the same in a table and in details.
func (m *Model) pressAnywhere(k tea.KeyPressMsg) (cmd tea.Cmd, done bool) {
	switch {
	case key.Matches(k, keys.next):
		return m.turn((m.tab + 1) % len(tabs)), true
	case key.Matches(k, keys.prev):
		return m.turn((m.tab + len(tabs) - 1) % len(tabs)), true
	case key.Matches(k, keys.go1):
		return m.turn(int(k.String()[0] - '1')), true
	case key.Matches(k, keys.pause):
		if m.paused = !m.paused; !m.paused {
			m.shown = m.live
		}
	case key.Matches(k, keys.faster):
		return m.pace(-1), true
	case key.Matches(k, keys.slower):
		return m.pace(+1), true
	default:
		return nil, false
	}
	return nil, true
}

// turn goes to another table.
func (m *Model) turn(to int) tea.Cmd {
	m.tab, m.mode, m.scroll = to, browsing, 0
	if to == tabMACs && (!m.shown.macs || m.shown.words != m.view().filter) {
		return m.askNow()
	}
	return nil
}

// paces are the times between polls that there are keys for. A gateway gives the same
// answer to all who ask within a second.
var paces = []time.Duration{1 * time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second, 30 * time.Second, time.Minute}

// pace goes to the next shorter or longer time between polls.
func (m *Model) pace(by int) tea.Cmd {
	was := m.every
	for _, d := range paces {
		if by > 0 && d > was {
			m.every = d
			break
		}
		if by < 0 && d < was {
			m.every = d
		}
	}
	if m.asking || m.every == was {
		return nil
	}
	return m.wait(m.rest())
}

func (m *Model) pressReading(k tea.KeyPressMsg) {
	switch page := max(1, m.page()); {
	case key.Matches(k, keys.back, keys.enter):
		m.mode, m.scroll = browsing, 0
	case key.Matches(k, keys.up):
		m.scroll--
	case key.Matches(k, keys.down):
		m.scroll++
	case key.Matches(k, keys.pageUp):
		m.scroll -= page
	case key.Matches(k, keys.pageDown):
		m.scroll += page
	case key.Matches(k, keys.home):
		m.scroll = 0
	case key.Matches(k, keys.end):
		m.scroll = len(m.details())
	}
	m.scroll = max(0, min(m.scroll, len(m.details())-m.page()))
}

func (m *Model) pressTable(k tea.KeyPressMsg) tea.Cmd {
	v, page := m.view(), max(1, m.page())
	switch {
	case key.Matches(k, keys.up):
		m.choose(v.index - 1)
	case key.Matches(k, keys.down):
		m.choose(v.index + 1)
	case key.Matches(k, keys.pageUp):
		m.choose(v.index - page)
	case key.Matches(k, keys.pageDown):
		m.choose(v.index + page)
	case key.Matches(k, keys.home):
		m.choose(0)
		v.row = ""
	case key.Matches(k, keys.end):
		m.choose(len(m.rows) - 1)
	case key.Matches(k, keys.enter):
		return m.open()
	case key.Matches(k, keys.back):
		v.filter = ""
		return m.searchAnew()
	case key.Matches(k, keys.filter):
		m.mode, m.undo = typing, v.filter
	case key.Matches(k, keys.left):
		v.by = (v.by + len(tabs[m.tab].columns) - 1) % len(tabs[m.tab].columns)
	case key.Matches(k, keys.right):
		v.by = (v.by + 1) % len(tabs[m.tab].columns)
	case key.Matches(k, keys.reverse):
		v.reverse = !v.reverse
	case key.Matches(k, keys.zeros):
		m.zeros = !m.zeros
	}
	return nil
}

// choose moves to a row, and stays with it wherever it goes.
func (m *Model) choose(index int) {
	if len(m.rows) == 0 {
		return
	}
	v := m.view()
	v.index = max(0, min(index, len(m.rows)-1))
	v.row = m.rows[v.index].key
}

// open shows the details of the row that is chosen.
func (m *Model) open() tea.Cmd {
	if len(m.rows) == 0 {
		return nil
	}
	m.choose(m.view().index)
	m.mode, m.scroll = reading, 0
	if q := m.question(); q.vni != 0 || q.vtep != "" {
		return m.askNow()
	}
	return nil
}

// typed takes a key of a filter.
func (m *Model) typed(k tea.KeyPressMsg) tea.Cmd {
	v := m.view()
	was := v.filter
	switch k.String() {
	case "enter":
		m.mode = browsing
	case "esc":
		m.mode, v.filter = browsing, m.undo
	case "backspace", "ctrl+h":
		if r := []rune(v.filter); len(r) > 0 {
			v.filter = string(r[:len(r)-1])
		}
	case "ctrl+u":
		v.filter = ""
	case "ctrl+w":
		v.filter = v.filter[:strings.LastIndex(strings.TrimRight(v.filter, " "), " ")+1]
	default:
		v.filter += clean(k.Key().Text)
	}
	if v.filter == was {
		return nil
	}
	return m.searchAnew()
}

// searchAnew asks for the MACs that the words find now.
func (m *Model) searchAnew() tea.Cmd {
	if m.tab != tabMACs {
		return nil
	}
	return m.askNow()
}
