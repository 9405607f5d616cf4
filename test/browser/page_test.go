package browser

import (
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"vxgw/gateway/api"
)

// contains holds that somebody reads all of this in an element.
func (p *tab) contains(selector string, parts ...string) {
	p.t.Helper()
	text := p.text(selector)
	for _, part := range parts {
		if !strings.Contains(text, part) {
			p.t.Errorf("%s lacks %q:\n%s", selector, part, text)
		}
	}
}

// moving waits until a rate is there that is not zero.
func (p *tab) moving(selector string) {
	p.t.Helper()
	p.waitFor("a rate in "+selector, `/[1-9]/.test(document.querySelector(`+"`"+selector+"`"+`)?.textContent ?? "")`)
}

// TestViews goes through all that the page shows, as three people see it.
func TestViews(t *testing.T) {
	for name, l := range map[string]look{"light": light, "dark": dark, "phone": phone} {
		t.Run(name, func(t *testing.T) {
			p := open(t, serve(t, small()), l)
			p.moving(".tile .big")
			p.waitFor("a drop that rises", `document.querySelectorAll(".risers .rising").length === 2`)
			p.contains("header", "edge-1", "VTEP 192.0.2.1", "Live")
			p.contains(".health", "VTEP 192.0.2.1 on und0, UDP port 4789, sends and receives", "2 of 4 not up: eth3 down", "no fast path at eth2", "Controllers 1 of 1 live", "rising: vtep_not_allowed")
			p.contains(".now", "vtep_not_allowed", "the outer source is not in allowed_vteps", "add the VTEP to flood")
			p.fits()
			p.shot(name + "-overview")

			p.view("ports")
			p.moving("#view-ports tbody tr:first-child .n")
			p.contains("#view-ports", "eth1", "enp129s0f1np1", "absent", "there is no such interface")
			p.fits()
			p.shot(name + "-ports")

			p.view("vnis")
			p.contains("#view-vnis", "10010", "web", "1,204")
			p.view("vteps")
			p.contains("#view-vteps", "2001:db8:0:1::33", "never heard", "group, sent to")
			p.shot(name + "-vteps")

			p.view("drops")
			p.contains("#view-drops", "tagged_frame", "from an access port", "make the switch port an untagged access port", "83,211")
			if rising := eval[string](p, `[...document.querySelectorAll("#view-drops tr.rising .name > :first-child")].map((e) => e.textContent).sort().join()`); rising != "tagged_frame,vtep_not_allowed" {
				t.Errorf("highlighted are %q", rising)
			}
			p.fits()
			p.shot(name + "-drops")

			p.view("macs")
			p.search("0f:42:3f", "02:00:00:0f:42:3f")
			p.shot(name + "-macs")

			p.view("topology")
			run(p, chromedp.WaitVisible(".drawing svg"))
			p.contains(".drawing", "eth3", "✕ down", "VNI 10010", "192.0.2.1", "never heard")
			p.fits()
			p.shot(name + "-topology")

			p.view("datapath")
			p.contains("#view-datapath", "und0", "XDP in the driver", "not attached")
		})
	}
}

// search types words and waits until a MAC is what is found, alone.
func (p *tab) search(words, mac string) {
	p.t.Helper()
	run(p, chromedp.WaitVisible("#mac-words"))
	eval[string](p, `document.querySelector("#mac-words").value = ""`)
	run(p, chromedp.SendKeys("#mac-words", words))
	p.waitFor("the MAC "+mac, fmt.Sprintf(`[...document.querySelectorAll("#view-macs tbody th")].map((e) => e.textContent).join() === %q`, mac))
}

// fits holds that the page itself is not wider than the window: what is wide scrolls
// within it.
func (p *tab) fits() {
	p.t.Helper()
	if over := eval[int](p, "document.documentElement.scrollWidth - innerWidth"); over > 0 {
		p.t.Errorf("the page is %d pixels wider than the window", over)
	}
}

// TestTheme holds that the page follows the system, and the switch over it.
func TestTheme(t *testing.T) {
	p := open(t, serve(t, small()), dark)
	const shade = `getComputedStyle(document.body).backgroundColor`
	if got := eval[string](p, shade); got != "rgb(14, 18, 23)" {
		t.Errorf("in a dark system the page is %s", got)
	}
	run(p, chromedp.Click("#theme"))
	if got := eval[string](p, shade); got != "rgb(245, 246, 248)" {
		t.Errorf("switched to light the page is %s", got)
	}
	run(p, chromedp.Navigate(p.home))
	run(p, chromedp.WaitVisible("#view-overview"))
	if got := eval[string](p, shade); got != "rgb(245, 246, 248)" {
		t.Errorf("when it comes again it is %s", got)
	}
}

// TestKeyboard holds that everything can be reached and worked without a mouse.
func TestKeyboard(t *testing.T) {
	p := open(t, serve(t, small()), light)
	p.view("ports")
	const sorted = `document.querySelector("#view-ports th[aria-sort=descending]")?.textContent ?? ""`
	// From the link of the view on: a table's heads, and what sorts it.
	eval[bool](p, `document.querySelector('nav a[href="#ports"]').focus() ?? true`)
	for range 40 {
		run(p, chromedp.KeyEvent("\t"))
		if eval[string](p, `document.activeElement.textContent`) == "MACs" && eval[string](p, `document.activeElement.className`) == "sort" {
			break
		}
	}
	run(p, chromedp.KeyEvent("\r"))
	if got := eval[string](p, sorted); got != "MACs" {
		t.Errorf("sorted by %q", got)
	}
	if named := eval[bool](p, `[...document.querySelectorAll("input, button, [role=region]")].every((e) => e.ariaLabel || e.labels?.length || e.textContent.trim())`); !named {
		t.Error("something to operate has no name")
	}
}

// TestLarge holds that a gateway at its size is shown page by page.
func TestLarge(t *testing.T) {
	p := open(t, serve(t, large()), light)
	p.moving(".tile .big")
	p.contains("#view-overview", "300/300", "4,000 VNIs")
	p.view("vnis")
	p.contains("#view-vnis .bar", "1–50 of 4,000")
	run(p, chromedp.SendKeys("#view-vnis input", "tenant-3999"))
	p.waitFor("the VNI", `document.querySelectorAll("#view-vnis tbody tr").length === 1`)
	p.contains("#view-vnis tbody", "13999")
	p.shot("large-vnis")
	p.view("topology")
	run(p, chromedp.WaitVisible(".drawing svg"))
	p.contains("#view-topology", "Not drawn: 3,984 VNIs")
	p.shot("large-topology")
}

// TestEmpty holds that a page with nothing on it says what to do.
func TestEmpty(t *testing.T) {
	p := open(t, serve(t, &pretend{up: api.UnderlayRow{Address: "192.0.2.1", Reason: "no interface has the address 192.0.2.1"}}), light)
	p.contains(".health", "no interface has the address 192.0.2.1", "add a [[port]]")
	p.contains(".now", "Nothing is being dropped")
	p.shot("empty-overview")
	for view, says := range map[string]string{
		"ports": "Add a [[port]]", "vnis": "Add a [[vni]]", "vteps": "flood = [...]", "drops": "Nothing was dropped",
		"topology": "add a [[vni]]", "datapath": "No interface is configured", "macs": "learned from the first frame",
	} {
		p.view(view)
		p.waitFor(view, fmt.Sprintf(`document.querySelector("#view-%s").innerText.includes(%q)`, view, says))
	}
}

// TestLost holds that a page without its gateway says so, and goes on when there is one.
func TestLost(t *testing.T) {
	home, stop := serveUntil(t, small())
	p := open(t, home, light)
	p.moving(".tile .big")
	stop()
	p.waitFor("that it is lost", `document.querySelector("#live").innerText.includes("No answer for")`)
	p.shot("lost")
	p.mu.Lock()
	p.wrong = nil // a browser tells of what it cannot reach
	p.mu.Unlock()
	serveOn(t, small(), strings.TrimPrefix(home, "http://"), "v2")
	p.waitFor("the gateway", `document.querySelector("#live").innerText === "Live" && document.querySelector("#facts").innerText.includes("v2")`)
	p.moving(".tile .big")
	p.mu.Lock()
	p.wrong = nil
	p.mu.Unlock()
}

// TestHidden holds that a page that nobody sees asks nothing.
func TestHidden(t *testing.T) {
	p := open(t, serve(t, small()), light)
	hide := func(hidden bool) {
		eval[bool](p, fmt.Sprintf(`(Object.defineProperty(document, "hidden", {value: %v, configurable: true}), document.dispatchEvent(new Event("visibilitychange")))`, hidden))
	}
	const asked = `performance.getEntriesByType("resource").filter((e) => e.name.endsWith("/v1/overview")).length`
	hide(true)
	p.waitFor("the pause", `document.querySelector("#live").innerText === "Paused"`)
	eval[bool](p, `new Promise((done) => setTimeout(() => done(true), 300))`) // what was under way is there
	before := eval[int](p, asked)
	eval[bool](p, `new Promise((done) => setTimeout(() => done(true), 3000))`)
	if after := eval[int](p, asked); after != before {
		t.Errorf("a hidden page has asked %d times", after-before)
	}
	hide(false)
	p.waitFor("an answer", asked+fmt.Sprintf(" > %d", before))
}

// TestFormat holds how numbers are written.
func TestFormat(t *testing.T) {
	p := open(t, serve(t, small()), light)
	for expression, want := range map[string]string{
		"f.words(f.bits(0))": "0 b/s", "f.words(f.bits(999.4))": "999 b/s", "f.words(f.bits(999.6))": "1.00 kb/s", "f.words(f.bits(12345678))": "12.3 Mb/s",
		"f.words(f.bits(9.87e9))": "9.87 Gb/s", "f.words(f.bits(NaN))": "–", "f.words(f.packets(1234567))": "1.23 Mpps", "f.words(f.packets(0.04))": "<0.1 pps",
		"f.words(f.perSecond(1.5))": "1.5 /s", "f.words(f.bytes(1.2e9))": "1.20 GB", "f.words(f.bits(999999))": "1.00 Mb/s", "f.words(f.packets(9.97))": "10 pps",
		"f.count(1204334)": "1,204,334", "f.plural(1, 'VNI')": "1 VNI", "f.plural(2, 'VNI')": "2 VNIs",
		"f.age(59)": "59s", "f.age(3599)": "59m 59s", "f.age(7260)": "2h 1m", "f.age(90061)": "1d 1h", "f.age(-3)": "0s",
	} {
		if got := eval[string](p, `import("/ui/js/format.js").then((f) => `+expression+`)`); got != want {
			t.Errorf("%s is %q, want %q", expression, got, want)
		}
	}
}

// TestHistory holds how counters become rates.
func TestHistory(t *testing.T) {
	p := open(t, serve(t, small()), light)
	const script = `import("/ui/js/history.js").then(({ History }) => {
		const h = new History();
		const at = (uptime, count, port = "eth1") => h.add({ uptime, time: new Date(1e12 + uptime * 1000).toISOString(), vnis: [], vteps: [], learn_refused: [],
			drops: [{ reason: "storm", direction: "access", count }], ports: [{ interface: port, vlan: 1, vni: 1, rx_bytes: count, tx_bytes: 0, rx_packets: 0, tx_packets: 0 }] });
		const rate = (key = "drop/storm/access") => String(h.rate(key, key.startsWith("drop") ? "count" : "rxBits"));
		const said = [];
		at(1, 100); said.push(rate());
		at(2, 110); said.push(rate(), rate("port/eth1/1/1"));
		said.push(String(at(2, 110)), rate());
		at(4, 110); said.push(rate(), String(h.rising("drop/storm/access")));
		at(5, 50); said.push(rate());
		at(100, 5000); said.push(rate());
		at(101, 5007); said.push(rate());
		at(0.5, 3); said.push(rate());
		at(1.5, 4, "eth2"); said.push(rate(), rate("port/eth1/1/1"), rate("port/eth2/1/1"));
		const times = h.moments();
		said.push(String(times.every((t, i) => i === 0 || t > times[i - 1])));
		for (let i = 3; i < 400; i++) at(i, i);
		said.push(String(h.moments().length), String(h.column("drop/storm/access", "count").length), String(h.lines.has("port/eth2/1/1")));
		return said.join(" ");
	})`
	// In turn: the first is no rate; the second is, of frames and of bits; the same answer
	// again is none; no growth within two seconds; a counter that went back; a pause; on
	// after it; a restart; on after it, with another port; time goes forward in all of it.
	const want = "NaN 10 80 false 10 0 true NaN NaN 7 NaN 1 NaN NaN true 300 300 false"
	if got := eval[string](p, script); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}
