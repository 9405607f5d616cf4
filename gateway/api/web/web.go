// Package web is the dashboard: files that the program carries with it. They ask the
// JSON API of the listener that they come from, and nobody else.
package web

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"sync"
	"time"
)

//go:embed static
var static embed.FS

// policy lets a browser load from the gateway only, and run nothing that is written
// into a page.
const policy = "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

var kinds = map[string]string{
	".html": "text/html; charset=utf-8",
	".css":  "text/css; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".svg":  "image/svg+xml",
	".txt":  "text/plain; charset=utf-8",
}

// file is one file as it is sent.
type file struct {
	kind, tag     string
	plain, zipped []byte
}

// files are all files by path: /, and /ui/NAME.
var files = sync.OnceValue(func() map[string]file {
	all := make(map[string]file)
	err := fs.WalkDir(static, "static", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := static.ReadFile(name)
		at := "/ui/" + strings.TrimPrefix(name, "static/")
		if at == "/ui/index.html" {
			at = "/"
		}
		all[at] = newFile(kinds[path.Ext(name)], text)
		return err
	})
	if err != nil {
		panic(err) // the files are in the program
	}
	return all
})

func newFile(kind string, text []byte) file {
	sum := sha256.Sum256(text)
	var out bytes.Buffer
	zip, _ := gzip.NewWriterLevel(&out, gzip.BestCompression)
	zip.Write(text)
	zip.Close()
	return file{kind: kind, tag: base64.RawURLEncoding.EncodeToString(sum[:12]), plain: text, zipped: out.Bytes()}
}

// Serve answers a GET or HEAD with a file, and reports whether there is one. A browser
// asks each time whether its copy is still right, and after an update gets the new one.
func Serve(w http.ResponseWriter, r *http.Request) bool {
	f, ok := files()[r.URL.Path]
	if !ok {
		return false
	}
	h := w.Header()
	h.Set("Content-Security-Policy", policy)
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-cache")
	h.Set("Vary", "Accept-Encoding")
	h.Set("Content-Type", f.kind)
	text, tag := f.plain, `"`+f.tag+`"`
	if TakesGzip(r) {
		text, tag = f.zipped, `"`+f.tag+`-gzip"`
		h.Set("Content-Encoding", "gzip")
	}
	h.Set("ETag", tag)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(text))
	return true
}

// TakesGzip reports whether the client of a request can read gzip (RFC 9110 section
// 12.5.3). Weights are not weighed: what is named is taken unless it is refused.
func TakesGzip(r *http.Request) bool {
	for _, part := range strings.Split(r.Header.Get("Accept-Encoding"), ",") {
		name, weight, _ := strings.Cut(part, ";")
		if strings.TrimSpace(name) == "gzip" {
			w := strings.ReplaceAll(weight, " ", "")
			return strings.Trim(strings.TrimPrefix(w, "q="), "0.") != "" || w == ""
		}
	}
	return false
}
