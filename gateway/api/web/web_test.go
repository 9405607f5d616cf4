package web

import (
	"io/fs"
	"net/http"
	"net/http/httptest"
	"path"
	"regexp"
	"strings"
	"testing"
)

func get(t *testing.T, at string, header ...string) *http.Response {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, at, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	rec := httptest.NewRecorder()
	if !Serve(rec, r) {
		t.Fatalf("there is no %s", at)
	}
	return rec.Result()
}

func TestServe(t *testing.T) {
	first := get(t, "/")
	if first.StatusCode != 200 || first.Header.Get("Content-Type") != "text/html; charset=utf-8" || first.Header.Get("Cache-Control") != "no-cache" {
		t.Errorf("%s %v", first.Status, first.Header)
	}
	if p := first.Header.Get("Content-Security-Policy"); !strings.HasPrefix(p, "default-src 'self';") || strings.Contains(p, "unsafe") {
		t.Errorf("policy %q", p)
	}
	if again := get(t, "/", "If-None-Match", first.Header.Get("ETag")); again.StatusCode != http.StatusNotModified {
		t.Errorf("what a browser has already is sent again: %s", again.Status)
	}
	zipped := get(t, "/", "Accept-Encoding", "br, gzip")
	if zipped.Header.Get("Content-Encoding") != "gzip" || zipped.Header.Get("ETag") == first.Header.Get("ETag") {
		t.Errorf("%v", zipped.Header)
	}
	if other := get(t, "/ui/app.css"); other.Header.Get("ETag") == first.Header.Get("ETag") {
		t.Error("two files have one tag")
	}
	for _, at := range []string{"/ui/", "/ui/index.html", "/ui/js/../../web.go", "/static/index.html", "/ui/js"} {
		if Serve(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, at, nil)) {
			t.Errorf("%s is served", at)
		}
	}
}

func TestTakesGzip(t *testing.T) {
	for header, want := range map[string]bool{
		"": false, "gzip": true, "deflate, gzip": true, "gzip;q=1.0": true, "gzip; q=0.5": true, "gzip;q=0": false, "gzip;q=0.000": false, "gzip; q=0.01": true, "identity": false, "xgzip": false,
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set("Accept-Encoding", header)
		if got := TakesGzip(r); got != want {
			t.Errorf("%q: %v", header, got)
		}
	}
}

// TestSelfContained holds that the page can be shown under its policy and without a
// network: every file has a type, nothing is written into the page, and whatever is
// loaded is there.
func TestSelfContained(t *testing.T) {
	loads := regexp.MustCompile(`(?:src|href)="(/[^"#]*)"|from "\./([^"]+)"`)
	inline := regexp.MustCompile(`(?i)<script>|<style|\sstyle=|\son[a-z]+=|javascript:`)
	abroad := regexp.MustCompile(`https?://[^\s"')]+`)
	for at, f := range files() {
		if f.kind == "" {
			t.Errorf("%s is of no known type", at)
		}
		text := string(f.plain)
		if strings.HasPrefix(at, "/ui/vendor/") {
			continue
		}
		if at == "/" && inline.MatchString(text) {
			t.Errorf("%s has %q written into it", at, inline.FindString(text))
		}
		for _, u := range abroad.FindAllString(text, -1) {
			if !strings.HasPrefix(u, "http://www.w3.org/") { // names a namespace, and is not asked for
				t.Errorf("%s names %s", at, u)
			}
		}
		for _, m := range loads.FindAllStringSubmatch(text, -1) {
			to := m[1]
			if m[2] != "" {
				to = path.Join(path.Dir(at), m[2])
			}
			if _, ok := files()[to]; !ok && !strings.HasPrefix(to, "/v1/") && to != "/metrics" {
				t.Errorf("%s loads %s, which is not there", at, to)
			}
		}
	}
	if _, err := fs.Stat(static, "static/vendor/uPlot.LICENSE.txt"); err != nil {
		t.Error(err)
	}
}
