package fdb

import (
	"testing"

	"pgregory.net/rapid"
)

func TestTableIsItsModel(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		b := newBoth(t, rapid.Uint8().Draw(r, "limit"), rapid.SampledFrom([]uint32{0, 1000, 1<<31 - 50, 1<<32 - 50}).Draw(r, "now"))
		b.tb = r
		draw := rapid.Custom(func(r *rapid.T) op {
			u := rapid.Uint8()
			return op{0, u.Draw(r, "domain"), u.Draw(r, "mac"), u.Draw(r, "hop"), u.Draw(r, "n")}
		})
		actions := map[string]func(*rapid.T){"": func(*rapid.T) { b.check() }}
		for _, name := range opNames {
			actions[name] = func(r *rapid.T) { b.do(name, draw.Draw(r, "op")) }
		}
		// One step that learns many, so that shards grow and limits are met.
		actions["learn many"] = func(r *rapid.T) {
			o, n := draw.Draw(r, "op"), rapid.IntRange(1, bothMACs).Draw(r, "many")
			for range n {
				b.do("learn", o)
				o.mac++
				o.hop += o.n % 2
			}
		}
		// One step in which a station is heard in places by turns, now and then with a
		// pause.
		actions["learn by turns"] = func(r *rapid.T) {
			o, n := draw.Draw(r, "op"), rapid.IntRange(1, 12).Draw(r, "turns")
			hops := rapid.SliceOfN(rapid.Uint8Range(0, bothHops-1), 2, 3).Draw(r, "hops")
			pauses := rapid.SliceOfN(rapid.Uint32Range(0, 6), 1, 3).Draw(r, "pauses")
			for i := range n {
				o.hop = hops[i%len(hops)]
				b.do("learn", o)
				b.now += pauses[i%len(pauses)]
			}
		}
		r.Repeat(actions)
	})
}

func FuzzTableIsItsModel(f *testing.F) {
	f.Add(uint8(8), []byte{0, 1, 2, 3, 4, 1, 1, 2, 3, 4, 2, 0, 0, 0, 7, 7, 0, 0, 0, 0})
	f.Add(uint8(200), []byte{5, 0, 0, 1, 9, 0, 0, 1, 1, 0, 3, 0, 1, 2, 1, 8, 0, 0, 1, 0, 4, 0, 1, 0, 0})
	f.Add(uint8(3), []byte{0, 0, 254, 0, 0, 0, 0, 255, 0, 0, 6, 0, 0, 1, 2, 0, 0, 1, 0, 0, 0, 0, 1, 1, 0})
	f.Fuzz(func(t *testing.T, limit uint8, steps []byte) {
		b := newBoth(t, limit, 1<<32-20)
		for ; len(steps) >= 5; steps = steps[5:] {
			o := op{steps[0], steps[1], steps[2], steps[3], steps[4]}
			// Half of all steps learn: a table that is empty has little to get wrong.
			if o.kind >= 128 {
				b.do("learn", o)
				continue
			}
			b.do(opNames[int(o.kind)%len(opNames)], o)
		}
		b.check()
	})
}
