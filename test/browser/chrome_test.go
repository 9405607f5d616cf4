package browser

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// patience is how long a page may take for what must happen.
const patience = 30 * time.Second

// shotsEnv names a directory that screenshots are left in, for people to look at.
const shotsEnv = "VXGW_SCREENSHOTS"

// chromium finds the browser, or skips.
func chromium(t testing.TB) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Skip("needs chromium; `make test` installs it")
	return ""
}

// shared is the one browser of all tests, in which each has a tab of its own.
var shared struct {
	once sync.Once
	ctx  context.Context
	end  []context.CancelFunc
}

func TestMain(m *testing.M) {
	code := m.Run()
	for _, end := range slices.Backward(shared.end) {
		end()
	}
	os.Exit(code)
}

// browser returns the browser, which the first test starts.
func browser(t testing.TB) context.Context {
	t.Helper()
	path := chromium(t)
	shared.once.Do(func() {
		opts := append(chromedp.DefaultExecAllocatorOptions[:],
			chromedp.ExecPath(path),
			chromedp.NoSandbox, // root cannot have one
			chromedp.Flag("force-prefers-reduced-motion", true),
		)
		allocator, end := chromedp.NewExecAllocator(context.Background(), opts...)
		ctx, last := chromedp.NewContext(allocator)
		shared.ctx, shared.end = ctx, []context.CancelFunc{end, last}
		must(t, chromedp.Do(ctx)) // or the first tab's end would be the browser's
	})
	return shared.ctx
}

// tab is one page, and what went wrong there.
type tab struct {
	t    testing.TB
	ctx  context.Context
	home string // the gateway's address

	mu     sync.Mutex // guards everything below
	wrong  []string   // errors and warnings of the page
	abroad []string   // requests that went elsewhere
}

// look is how somebody looks at the page.
type look struct {
	scheme        string // "light" or "dark"
	width, height int64
	mobile        bool
}

var (
	light = look{scheme: "light", width: 1360, height: 900}
	dark  = look{scheme: "dark", width: 1360, height: 900}
	phone = look{scheme: "light", width: 390, height: 844, mobile: true}
)

// open shows the page at home, and holds to the end of the test that nothing went
// wrong there.
func open(t testing.TB, home string, l look) *tab {
	t.Helper()
	ctx, cancel := chromedp.NewContext(browser(t))
	t.Cleanup(cancel)
	p := &tab{t: t, ctx: ctx, home: home}
	t.Cleanup(p.clean)
	must(t, chromedp.Listen(ctx, p.heard))
	call(p, network.Enable, network.EnableParams{})
	call(p, log.Enable, cdp.Empty{})
	call(p, runtime.Enable, cdp.Empty{})
	call(p, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: l.scheme}}})
	call(p, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: l.width, Height: l.height, DeviceScaleFactor: 1, Mobile: l.mobile})
	run(p, chromedp.Navigate(home))
	run(p, chromedp.WaitVisible("#view-overview"))
	return p
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// heard notes what must not happen.
func (p *tab) heard(event any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		p.wrong = append(p.wrong, fmt.Sprintf("exception: %s %v", e.ExceptionDetails.Text, e.ExceptionDetails.Exception.Description))
	case *runtime.EventConsoleAPICalled:
		if e.Type == "error" || e.Type == "warning" {
			p.wrong = append(p.wrong, fmt.Sprintf("console: %s", e.Args[0].Value))
		}
	case *log.EventEntryAdded:
		if e.Entry.Level == "error" || e.Entry.Level == "warning" {
			p.wrong = append(p.wrong, e.Entry.Text+" "+e.Entry.URL)
		}
	case *network.EventRequestWillBeSent:
		if u := e.Request.URL; !strings.HasPrefix(u, "data:") && !strings.HasPrefix(u, p.home+"/") {
			p.abroad = append(p.abroad, u)
		}
	}
}

func (p *tab) clean() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, w := range p.wrong {
		p.t.Errorf("the page complains: %s", w)
	}
	for _, u := range p.abroad {
		p.t.Errorf("the page asks %s", u)
	}
}

// run carries out an action, or ends the test.
func run[T any](p *tab, a chromedp.Action[T]) T {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	v, err := chromedp.Run(ctx, a)
	must(p.t, err)
	return v
}

// call gives the browser one command.
func call[P, R any](p *tab, c cdp.Command[P, R], params P) {
	p.t.Helper()
	_, err := chromedp.Call(p.ctx, c, params)
	must(p.t, err)
}

// view opens a view by its link.
func (p *tab) view(name string) {
	p.t.Helper()
	run(p, chromedp.Click(`nav a[href="#`+name+`"]`))
	run(p, chromedp.WaitVisible("#view-"+name))
}

// text is what somebody reads in an element.
func (p *tab) text(selector string) string {
	p.t.Helper()
	return eval[string](p, "document.querySelector("+strconv.Quote(selector)+")?.innerText ?? ''")
}

// eval is the value of an expression in the page.
func eval[T any](p *tab, expression string) T {
	p.t.Helper()
	return run(p, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
}

// waitFor waits until an expression of the page is true.
func (p *tab) waitFor(what, expression string) {
	p.t.Helper()
	for end := time.Now().Add(patience); !eval[bool](p, expression); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			p.t.Fatalf("waited in vain for %s; the page has\n%s", what, p.text("main"))
		}
	}
}

// shot takes a picture of the whole page, where somebody wants one.
func (p *tab) shot(name string) {
	p.t.Helper()
	png := run(p, chromedp.FullScreenshot(100))
	if len(png) < 1000 {
		p.t.Errorf("a screenshot of %d bytes", len(png))
	}
	dir := os.Getenv(shotsEnv)
	if dir == "" {
		return
	}
	if err := os.WriteFile(filepath.Join(dir, name+".png"), png, 0o644); err != nil {
		p.t.Error(err)
	}
}
