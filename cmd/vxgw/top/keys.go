package top

import "charm.land/bubbles/v2/key"

// keys are what a key does while one looks at a table or at the details of a row.
var keys = struct {
	next, prev, go1, up, down, pageUp, pageDown, home, end, enter, back key.Binding
	filter, left, right, reverse, pause, faster, slower, zeros          key.Binding
	help, suspend, quit                                                 key.Binding
}{
	next:     bind("tab", "next table", "tab"),
	prev:     bind("shift+tab", "table before", "shift+tab"),
	go1:      bind("1-5", "this table", "1", "2", "3", "4", "5"),
	up:       bind("up, k", "row above", "up", "k"),
	down:     bind("down, j", "row below", "down", "j"),
	pageUp:   bind("pgup", "page above", "pgup", "ctrl+b"),
	pageDown: bind("pgdown", "page below", "pgdown", "ctrl+f"),
	home:     bind("home, g", "first row, and stay there", "home", "g"),
	end:      bind("end, G", "last row", "end", "G"),
	enter:    bind("enter", "details", "enter"),
	back:     bind("esc", "back; no filter", "esc", "backspace"),
	filter:   bind("/", "filter", "/"),
	left:     bind("<, left", "sort by the column before", "<", "left", "h"),
	right:    bind(">, right", "sort by the next column", ">", "right", "l"),
	reverse:  bind("r", "reverse", "r"),
	pause:    bind("p, space", "pause", "p", "space"),
	faster:   bind("+", "ask more often", "+", "="),
	slower:   bind("-", "ask less often", "-"),
	zeros:    bind("a", "all reasons to drop", "a"),
	help:     bind("?", "keys", "?"),
	suspend:  bind("ctrl+z", "to the background", "ctrl+z"),
	quit:     bind("q, ctrl+c", "quit", "q", "ctrl+c"),
}

func bind(name, does string, all ...string) key.Binding {
	return key.NewBinding(key.WithKeys(all...), key.WithHelp(name, does))
}

// footers are the lines at the bottom: what is at hand, in as many words as 80 columns
// have room for.
const (
	footTable   = "tab view  enter details  / filter  < > sort  r reverse  p pause  ? keys  q quit"
	footDetails = "esc back  up down scroll  p pause  ? keys  q quit"
	footHelp    = "any key goes back  q quit"
	footTyping  = "enter keeps it, esc gives it up"
)

// helpKeys are all keys, for the page that ? shows.
var helpKeys = []key.Binding{
	keys.next, keys.prev, keys.go1, keys.up, keys.down, keys.pageUp, keys.pageDown, keys.home, keys.end, keys.enter, keys.back,
	keys.filter, keys.left, keys.right, keys.reverse, keys.pause, keys.faster, keys.slower, keys.zeros, keys.help, keys.suspend, keys.quit,
}
