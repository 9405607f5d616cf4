package fabric

import (
	"strings"
	"testing"

	"vxgw/config"
	"vxgw/gateway/api"
	"vxgw/l2/frame"
)

// holds is the default.
const holds = "move_limit = 5"

// held reports whether a MAC of VNI 1000 is shown as held.
func held(g *Gateway, m frame.MAC) bool {
	for r := range g.MACs(1000) {
		if r.MAC == m.String() {
			return r.Held
		}
	}
	return false
}

func clearMACs(t *testing.T, g *Gateway, r api.ClearRequest) api.Cleared {
	t.Helper()
	done, err := g.ClearMACs(r)
	if err != nil {
		t.Errorf("%+v: %v", r, err)
	}
	return done
}

// flap has H1, which is at e1, be heard by turns at two places until it is held.
func flap(n *Net, also func()) {
	for range 3 {
		n.Send("a.e1", Local(frame.Broadcast, H1))
		also()
	}
}

// A MAC that moves too often, between ports or between a port and a VTEP, is held where
// it was. Its frames from elsewhere are dropped, those to it and all others are not.
func TestHeld(t *testing.T) {
	for name, c := range map[string]struct {
		also    func(*Net)
		dropped string
		place   string
	}{
		"two ports":         {func(n *Net) { n.Send("a.e2", Local(frame.Broadcast, H1)) }, "a!access:duplicate_mac", "port e2"},
		"a port and a VTEP": {func(n *Net) { n.Inject("192.0.2.2", "a", 1000, Local(frame.Broadcast, H1)) }, "a!overlay:duplicate_mac", "VTEP 192.0.2.2"},
	} {
		t.Run(name, func(t *testing.T) {
			Test(t, func(n *Net) {
				a := n.Add(conf("a", vni(1000, "b c", holds), ports(10, "e1 e2 e3")))
				also := func() { c.also(n) }
				n.Send("a.e3", Local(frame.Broadcast, H3))
				flap(n, also)
				checkWhere(t, a, H1, "e1 learned")
				if !held(a, H1) {
					t.Error("not held")
				}
				r := n.begin(nil)
				also()
				r.end()
				if s := r.String(); s != c.dropped {
					t.Errorf("from the other place: %s", s)
				}
				n.Send("a.e3", Local(H1, H3)).Is("a.e1")
				n.Send("a.e1", Local(H3, H1)).Is("a.e3")
				n.Send("a.e2", Local(H3, H2)).Is("a.e3")
				n.Tick()
				if k := strings.Count(a.Log(), "moves too often"); k != 1 || !strings.Contains(a.Log(), `held_at="port e1" also_at="`+c.place+`" moves=5`) {
					t.Errorf("%d lines\n%s", k, a.Log())
				}
				if v := a.VNIs()[0]; v.Held != 1 {
					t.Errorf("%d are held", v.Held)
				}
				// The clock of the hold, and what is heard at home meanwhile.
				for range 5 {
					n.Advance(100)
					n.Send("a.e1", Local(H3, H1))
				}
				if !held(a, H1) {
					t.Error("not held to the end")
				}
				n.Advance(41)
				if held(a, H1) || strings.Count(a.Log(), "is not held any more") != 1 {
					t.Errorf("held for ever\n%s", a.Log())
				}
				also()
				if where(a, H1) == "e1 learned" {
					t.Error("does not move again")
				}
			})
		})
	}
}

// A machine that moves a few times is followed at once each time, and one that moves now
// and then for ever.
func TestFewMovesAreFollowed(t *testing.T) {
	Test(t, func(n *Net) {
		a := n.Add(conf("a", vni(1000, "b", holds, `ageing = "0s"`), ports(10, "e1 e2 e3 e4 e5")))
		for _, p := range []string{"e1", "e2", "e3", "e4", "e5"} {
			n.Send("a."+p, Local(frame.Broadcast, H1))
			checkWhere(t, a, H1, p+" learned")
		}
		n.Advance(180)
		for i := range 20 {
			n.Advance(46)
			p := []string{"e1", "e2"}[i%2]
			n.Send("a."+p, Local(frame.Broadcast, H1))
			checkWhere(t, a, H1, p+" learned")
		}
	})
}

// Where the place goes that a MAC is held at, it is learned anew.
func TestHeldAtPortThatGoes(t *testing.T) {
	Test(t, func(n *Net) {
		a := n.Add(conf("a", vni(1000, "b", holds), ports(10, "e1 e2")))
		flap(n, func() { n.Send("a.e2", Local(frame.Broadcast, H1)) })
		a.Host.RemoveLink("e1")
		n.Tick()
		n.Send("a.e2", Local(frame.Broadcast, H1)).Is("a>192.0.2.2")
		checkWhere(t, a, H1, "e2 learned")
		if held(a, H1) {
			t.Error("held at once")
		}
	})
}

// Nobody is held at a port that has gone meanwhile, though nothing was learned there any
// more.
func TestHomeGoesBeforeItIsHeld(t *testing.T) {
	Test(t, func(n *Net) {
		a := n.Add(conf("a", vni(1000, "b", holds), ports(10, "e1 e2 e3")))
		for _, p := range []string{"e1", "e2", "e3"} {
			n.Send("a."+p, Local(frame.Broadcast, H1))
		}
		a.Host.RemoveLink("e1")
		n.Tick()
		for _, p := range []string{"e2", "e3", "e2", "e3", "e2", "e3"} {
			n.Send("a."+p, Local(frame.Broadcast, H1))
		}
		if is := where(a, H1); is == "e1 learned" || !held(a, H1) {
			t.Errorf("%s, held %v", is, held(a, H1))
		}
	})
}

func TestMoveLimitIsReloaded(t *testing.T) {
	Test(t, func(n *Net) {
		text := func(more string) string { return conf("a", vni(1000, "b", more), ports(10, "e1 e2")) }
		reload := func(a *Gateway, more string) {
			next, err := config.Parse("test.toml", []byte(text(more)))
			must(err)
			_, err = a.Reload(next)
			must(err)
			n.Tick()
		}
		e2 := func() { n.Send("a.e2", Local(frame.Broadcast, H1)) }
		a := n.Add(text("move_limit = 0"))
		for range 10 {
			flap(n, e2)
		}
		checkWhere(t, a, H1, "e2 learned")
		reload(a, `move_hold = "0s"`)
		flap(n, e2)
		n.Advance(250)
		n.Send("a.e2", Local(frame.Broadcast, H1)).Is("a.e1 a>192.0.2.2")
		n.Advance(250)
		if !held(a, H1) {
			t.Error("not held without an end")
		}
		reload(a, "move_limit = 0")
		if held(a, H1) {
			t.Error("held though nobody is to be")
		}
		flap(n, e2)
		checkWhere(t, a, H1, "e2 learned")
	})
}

func TestClear(t *testing.T) {
	for name, c := range map[string]struct {
		req  api.ClearRequest
		want api.Cleared
		gone []frame.MAC
	}{
		"the held one":        {api.ClearRequest{MAC: H1.String(), VNI: 1000}, api.Cleared{MACs: 1, Held: 1}, []frame.MAC{H1}},
		"one in its VNI":      {api.ClearRequest{MAC: RA.String(), VNI: 1000}, api.Cleared{MACs: 1}, []frame.MAC{RA}},
		"one in another VNI":  {api.ClearRequest{MAC: RA.String(), VNI: 2000}, api.Cleared{}, nil},
		"in all VNIs":         {api.ClearRequest{MAC: H1.String()}, api.Cleared{MACs: 2, Held: 1}, []frame.MAC{H1}},
		"one that is not":     {api.ClearRequest{MAC: Nobody.String()}, api.Cleared{}, nil},
		"a static one":        {api.ClearRequest{MAC: "02:00:00:00:02:bb"}, api.Cleared{}, nil},
		"of a port":           {api.ClearRequest{Port: "e1"}, api.Cleared{MACs: 2, Held: 1}, []frame.MAC{H1, H3}},
		"of a VTEP":           {api.ClearRequest{VTEP: "192.0.2.2"}, api.Cleared{MACs: 1}, []frame.MAC{RA}},
		"all of a VNI":        {api.ClearRequest{All: true, VNI: 1000}, api.Cleared{MACs: 4, Held: 1}, []frame.MAC{H1, H2, H3, RA}},
		"all of another VNI":  {api.ClearRequest{All: true, VNI: 2000}, api.Cleared{MACs: 1}, nil},
		"everything":          {api.ClearRequest{All: true}, api.Cleared{MACs: 5, Held: 1}, []frame.MAC{H1, H2, H3, RA}},
		"of a port and a VNI": {api.ClearRequest{Port: "e1", VNI: 2000}, api.Cleared{}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			Test(t, func(n *Net) {
				a := n.Add(conf("a", vni(1000, "b", holds), vni(2000, "b", holds), ports(10, "e1 e2"), ports(20, "e3"),
					"[[mac]]\nvni = 1000\naddress = \"02:00:00:00:02:bb\"\nvtep = \"192.0.2.2\"\n"))
				n.Send("a.e1", Local(frame.Broadcast, H3))
				n.Send("a.e2", Local(frame.Broadcast, H2))
				n.Send("a.e3", Local(frame.Broadcast, H1))
				n.Inject("192.0.2.2", "a", 1000, Local(frame.Broadcast, RA))
				flap(n, func() { n.Send("a.e2", Local(frame.Broadcast, H1)) })
				if !held(a, H1) {
					t.Fatal("not held")
				}
				if got := clearMACs(t, a, c.req); got != c.want {
					t.Errorf("%+v, want %+v", got, c.want)
				}
				for _, m := range []frame.MAC{H1, H2, H3, RA} {
					want := "is known"
					for _, g := range c.gone {
						if m == g {
							want = "unknown"
						}
					}
					if is := where(a, m); (is == "unknown") != (want == "unknown") {
						t.Errorf("%v is %s, %s", m, is, want)
					}
				}
				if is := where(a, MAC("02:00:00:00:02:bb")); is != "192.0.2.2 static" {
					t.Errorf("the static one is %s", is)
				}
				if !held(a, H1) { // let go, it moves as before
					n.Send("a.e1", Local(frame.Broadcast, H1))
					n.Send("a.e2", Local(frame.Broadcast, H1))
					checkWhere(t, a, H1, "e2 learned")
				}
			})
		})
	}
}

func TestClearRefuses(t *testing.T) {
	Test(t, func(n *Net) {
		a := alone(n)
		for _, c := range []struct {
			req  api.ClearRequest
			want string
		}{
			{api.ClearRequest{}, "say which MACs"},
			{api.ClearRequest{Port: "e9"}, "e9 is no access port"},
			{api.ClearRequest{VTEP: "192.0.2.99"}, "192.0.2.99 is no VTEP"},
			{api.ClearRequest{All: true, VNI: 77}, "VNI 77 is not configured"},
			{api.ClearRequest{MAC: "e1"}, "not a MAC address"},
		} {
			if _, err := a.ClearMACs(c.req); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%+v: %v, want %q", c.req, err, c.want)
			}
		}
	})
}
