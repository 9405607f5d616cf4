package top

import (
	"flag"
	"fmt"
	"testing"
	"time"

	"vxgw/gateway/api"
)

var update = flag.Bool("update", false, "write the screens in testdata anew")

// TestScreens holds what is on the screen, in the two sizes that terminals are.
func TestScreens(t *testing.T) {
	until := noon.Add(162 * time.Second)
	screens := []struct {
		name string
		does func(b *bench)
	}{
		{"begin", func(*bench) {}},
		{"ports", func(b *bench) { b.pass(2) }},
		{"vnis", func(b *bench) { b.press("2"); b.pass(2) }},
		{"vteps", func(b *bench) { b.press("3"); b.pass(2) }},
		{"drops", func(b *bench) { b.press("4"); b.pass(2) }},
		{"macs", func(b *bench) { b.press("5"); b.pass(2) }},
		{"port", func(b *bench) { b.press("down", "enter"); b.pass(2) }},
		{"vni", func(b *bench) { b.press("2", "enter"); b.pass(2) }},
		{"vtep", func(b *bench) { b.press("3", "enter"); b.pass(2) }},
		{"drop", func(b *bench) { b.press("4", "enter"); b.pass(2) }},
		{"mac", func(b *bench) { b.press("5", "end", "enter"); b.pass(2) }},
		{"help", func(b *bench) { b.press("?"); b.pass(2) }},
		{"typing", func(b *bench) { b.pass(2); b.press("2", "/", "d", "b") }},
		{"gone", func(b *bench) { b.pass(2); b.gw.gone = errGone; b.pass(2) }},
		{"unconfirmed", func(b *bench) {
			b.gw.config = &api.ConfigRow{State: api.ConfigUnconfirmed, ConfirmUntil: &until}
			b.pass(2)
		}},
		{"many", func(b *bench) {
			b.gw.rows = 200
			b.pass(2)
			b.press("2", "<", "<", "<", "<", "<", "r", "pgdown", "down")
		}},
	}
	for _, size := range []struct{ width, height int }{{80, 24}, {120, 40}} {
		for _, s := range screens {
			name := fmt.Sprintf("%s-%dx%d", s.name, size.width, size.height)
			t.Run(name, func(t *testing.T) {
				b := newBench(t, size.width, size.height, Options{look: colours()})
				s.does(b)
				b.golden(name)
			})
		}
	}
}
