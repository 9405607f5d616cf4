package api

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"net/http"

	"vxgw/gateway/api/web"
)

// body is one answer in JSON, ready to be given to many.
type body struct{ plain, zipped []byte }

// newBody writes v. The compressed form costs a tenth of a second's traffic for a
// gateway with thousands of VNIs, and is made for all who ask.
func newBody(v any) body {
	text, err := json.Marshal(v)
	if err != nil {
		// Rows are numbers and text; there is nothing that cannot be written.
		text = []byte(`{"error":"the answer cannot be written"}`)
	}
	text = append(text, '\n')
	var out bytes.Buffer
	zip, _ := gzip.NewWriterLevel(&out, gzip.BestSpeed)
	zip.Write(text)
	zip.Close()
	return body{text, out.Bytes()}
}

func (b body) write(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("Vary", "Accept-Encoding")
	text := b.plain
	if web.TakesGzip(r) {
		h.Set("Content-Encoding", "gzip")
		text = b.zipped
	}
	if r.Method != http.MethodHead {
		w.Write(text)
	}
}

// answer writes one value for one who asks.
func answer(w http.ResponseWriter, r *http.Request, v any) { newBody(v).write(w, r) }
