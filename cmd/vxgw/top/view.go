package top

import (
	"fmt"
	"slices"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"vxgw/gateway/api"
)

const (
	// dropLines is how many lines at the bottom say what a drop means; they are there
	// on a screen that has roomFor of them.
	dropLines, roomFor = 5, 18

	// alertShare is how much of the screen alerts may take: a part in so many.
	alertShare = 4
)

// View writes the screen.
func (m *Model) View() tea.View {
	v := tea.NewView(m.screen())
	v.AltScreen, v.WindowTitle = true, "vxgw top "+clean(m.live.Name)
	return v
}

// screen is as many lines as the terminal has, none longer than it is wide.
func (m *Model) screen() string {
	lines := m.top()
	switch m.mode {
	case helping:
		lines = append(lines, m.help()...)
	case reading:
		lines = append(lines, window(m.details(), m.scroll, m.page())...)
	default:
		lines = append(lines, m.table(m.view().offset, m.page())...)
		lines = append(lines, m.meaning(len(lines))...)
	}
	for len(lines) < m.height-1 {
		lines = append(lines, "")
	}
	lines = append(lines[:max(0, m.height-1)], m.foot())
	for i, line := range lines {
		lines[i] = ansi.Truncate(line, m.width, "")
	}
	return strings.Join(lines, "\n")
}

// top is what stands above the table.
func (m *Model) top() []string {
	return slices.Concat(m.heads(), m.alerts(), []string{m.tabLine()})
}

// page is how many rows or lines of details there is room for.
func (m *Model) page() int {
	n := m.height - len(m.top()) - 1
	if m.mode == reading {
		return n
	}
	if n--; m.tab == tabDrops && m.height >= roomFor {
		n -= dropLines
	}
	return n
}

// window cuts out the lines that are seen.
func window(lines []string, from, n int) []string {
	from = max(0, min(from, len(lines)-1))
	return lines[from:max(from, min(len(lines), from+n))]
}

// heads are the two lines that say how the whole gateway does.
func (m *Model) heads() []string {
	o := &m.shown.Overview
	underlay := "down"
	if o.Underlay.Up {
		underlay = "up"
	}
	up := 0
	for i := range o.Ports {
		if o.Ports[i].State == api.StateUp {
			up++
		}
	}
	left := fmt.Sprintf("%s  VTEP %s %s  ports %d/%d up  running %s",
		m.look.title.Render("vxgw "+clean(o.Name)), clean(o.Underlay.Address), underlay, up, len(o.Ports), api.Age(seconds(o.Uptime)))
	right := fmt.Sprintf("every %s  %s", m.every, o.Time.Format(time.TimeOnly))
	if m.paused {
		right = m.look.active.Render("PAUSED") + "  " + o.Time.Format(time.TimeOnly)
	}
	return []string{m.spread(left, right), m.sums()}
}

// spread puts one text at the left and one at the right; where there is no room for
// both the left one is cut.
func (m *Model) spread(left, right string) string {
	room := max(0, m.width-ansi.StringWidth(right)-2)
	left = ansi.Truncate(left, room, "")
	return left + strings.Repeat(" ", room-ansi.StringWidth(left)+2) + right
}

func (m *Model) sums() string {
	o := &m.shown.Overview
	var all rates
	for i := range o.Ports {
		for j, n := range m.shown.meter.of(portKey(&o.Ports[i])) {
			all[j] += n
		}
	}
	dropped, macs := 0.0, 0
	for i := range o.Drops {
		dropped += m.shown.meter.of(dropKey(&o.Drops[i]))[drops]
	}
	for _, s := range o.MACs {
		macs += s.Count
	}
	return fmt.Sprintf("in %s %s  out %s %s  drops %s/s  MACs %s",
		unit(all[rxPackets], "pps"), unit(8*all[rxBytes], "b/s"), unit(all[txPackets], "pps"), unit(8*all[txBytes], "b/s"),
		scaled(dropped), grouped(uint64(macs)))
}

// alerts are what an operator ought to know at once, the most urgent first. They are of
// the last answer, also where the rest is paused: a roll-back does not wait.
func (m *Model) alerts() []string {
	var all []string
	if m.lost != nil {
		all = append(all, fmt.Sprintf("%v; what is shown is of %s, trying again", m.lost, m.shown.Time.Format(time.TimeOnly)))
	}
	if c := m.live.config; c != nil && m.lost == nil {
		all = append(all, aboutConfig(c, m.live.Time)...)
	}
	for _, c := range m.live.Checks {
		if m.lost == nil && (c.State == api.CheckFail || c.State == api.CheckWarn) {
			all = append(all, fmt.Sprintf("%s: %s: %s", c.Name, c.Says, c.Mend))
		}
	}
	var lines []string
	for _, a := range all {
		for i, line := range wrap(clean(a), m.width-2) {
			mark := "! "
			if i > 0 {
				mark = "  "
			}
			lines = append(lines, m.look.alert.Render(mark+line))
		}
	}
	return lines[:min(len(lines), max(2, m.height/alertShare))]
}

// aboutConfig says what is to be done about the configuration, if anything is.
func aboutConfig(c *api.ConfigRow, now time.Time) []string {
	switch c.State {
	case api.ConfigUnconfirmed:
		if c.ConfirmUntil == nil {
			return nil
		}
		return []string{fmt.Sprintf("configuration not confirmed: rolled back in %s unless `vxgw confirm` follows", api.Age(c.ConfirmUntil.Sub(now).Round(time.Second)))}
	case api.ConfigRolledBack:
		return []string{"configuration rolled back: " + c.Reason}
	}
	return nil
}

// tabLine names the tables, and says what part of this one is seen.
func (m *Model) tabLine() string {
	var names strings.Builder
	for i, t := range tabs {
		if name := fmt.Sprintf("%d %s", i+1, t.name); i == m.tab {
			names.WriteString(m.look.active.Render("[" + name + "]"))
		} else {
			names.WriteString(" " + name + " ")
		}
	}
	return m.spread(names.String(), m.part())
}

// part says how many rows there are, and why not more.
func (m *Model) part() string {
	said := grouped(uint64(len(m.rows)))
	filter := m.view().filter
	switch {
	case m.tab == tabMACs && m.shown.found.More:
		said = "the first " + said + " found: narrow the search"
	case m.tab == tabMACs && filter != "":
		said += " found"
	case filter != "":
		said += " of " + grouped(uint64(m.all))
	}
	if filter != "" && m.mode != typing {
		said = "filter " + clean(filter) + "  " + said
	}
	return said
}

// table is the head and so many rows of it from an offset on.
func (m *Model) table(offset, n int) []string {
	t, v := &tabs[m.tab], m.view()
	if len(m.rows) == 0 {
		return []string{"", "  " + m.nothing()}
	}
	heads := make([]string, len(t.columns))
	for i, c := range t.columns {
		if heads[i] = c.head; i == v.by {
			heads[i] = c.sorted(v.reverse)
		}
	}
	l := fit(t.columns, heads, m.rows, m.width)
	lines := []string{m.look.head.Render(l.line("  ", func(i int) string { return heads[i] }))}
	for i := offset; i < min(len(m.rows), offset+n); i++ {
		r := &m.rows[i]
		cellOf := func(i int) string { return r.cells[i].text }
		switch {
		case i == v.index:
			line := l.line("> ", cellOf)
			lines = append(lines, m.look.chosen.Render(line+strings.Repeat(" ", max(0, m.width-ansi.StringWidth(line)))))
		case r.bad:
			lines = append(lines, m.look.bad.Render(l.line("  ", cellOf)))
		default:
			lines = append(lines, l.line("  ", cellOf))
		}
	}
	return lines
}

// nothing says why there are no rows.
func (m *Model) nothing() string {
	switch {
	case m.tab == tabMACs && m.shown.foundNo != nil:
		return clean(m.shown.foundNo.Error())
	case m.tab == tabMACs && !m.shown.macs:
		return "asking"
	case m.view().filter != "":
		return fmt.Sprintf("nothing has %q in it: esc shows all", clean(m.view().filter))
	}
	return tabs[m.tab].none
}

// meaning says, below the table of drops, what the one that is chosen means. above is
// how many lines there are already.
func (m *Model) meaning(above int) []string {
	if m.tab != tabDrops || m.height < roomFor || len(m.rows) == 0 {
		return nil
	}
	r := &m.rows[m.view().index]
	d := find(m.shown.Drops, r.key, dropKey)
	if d == nil {
		return nil
	}
	says := m.shown.texts[d.Reason]
	lines := slices.Repeat([]string{""}, max(0, m.height-1-dropLines-above))
	text := []string{d.Reason + ": " + says.meaning, "what to do: " + says.mend}
	for _, t := range text {
		lines = append(lines, wrap(clean(t), m.width)...)
	}
	return lines
}

// details are the lines that say all about the row that is chosen.
func (m *Model) details() []string {
	about := tabs[m.tab].about(&m.shown, m.view().row)
	if about == nil {
		return []string{"", "  it is not there any more: esc goes back"}
	}
	const names = 16
	lines := []string{""}
	for _, fact := range about {
		name, value, _ := strings.Cut(fact, "\t")
		for i, part := range wrap(value, max(20, m.width-names-2)) {
			if i > 0 {
				name = ""
			}
			lines = append(lines, "  "+m.look.name.Render(name)+strings.Repeat(" ", names-len(name))+part)
		}
	}
	return lines
}

// help lists the keys, in two columns where there is room.
func (m *Model) help() []string {
	half := (len(helpKeys) + 1) / 2
	lines := []string{""}
	entry := func(i int) string {
		h := helpKeys[i].Help()
		return fmt.Sprintf("  %-12s%-25s", h.Key, h.Desc)
	}
	for i := range half {
		line := entry(i)
		if i+half < len(helpKeys) {
			line += entry(i + half)
		}
		lines = append(lines, strings.TrimRight(line, " "))
	}
	return append(lines, "", "  in is what comes in to the gateway (rx): from an access port, from the", "  overlay in a VNI, or from a VTEP; out (tx) is what goes there")
}

// foot is the last line: the filter while it is typed, and otherwise what keys do.
func (m *Model) foot() string {
	switch m.mode {
	case typing:
		what := "filter"
		if m.tab == tabMACs {
			what = "search for digits of a MAC, a port, a VTEP"
		}
		return what + ": " + clean(m.view().filter) + "_   " + m.look.note.Render(footTyping)
	case reading:
		return m.look.note.Render(footDetails)
	case helping:
		return m.look.note.Render(footHelp)
	}
	return m.look.note.Render(footTable)
}

// wrap breaks a text into lines, between words where it can.
func wrap(text string, width int) []string {
	return strings.Split(ansi.Wrap(text, max(1, width), ""), "\n")
}
