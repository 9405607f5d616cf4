package api

import (
	"bufio"
	"context"
	"encoding/json"
	"iter"
	"net/http"
	"time"
)

// streamBuffer is how much of an answer is held before it is sent, in
// bytes: the bound on memory, whatever the number of rows.
const streamBuffer = 32 << 10

// stream writes rows as a JSON array, a row to a line. A client that went away
// or does not read ends it; the answer then has no closing bracket, and the
// connection is closed so that the client sees that it was cut off.
func stream[T any](ctx context.Context, b bounds, w http.ResponseWriter, rows iter.Seq[T]) {
	out := &pacedWriter{w: w, control: http.NewResponseController(w), stall: b.stall, end: time.Now().Add(b.answer)}
	buf := bufio.NewWriterSize(out, streamBuffer)
	buf.WriteByte('[')
	sep, whole := "\n", true
	for row := range rows {
		buf.WriteString(sep)
		sep = ",\n"
		// Leave the loop before giving up: a panic would unwind the source too.
		if whole = writeJSON(buf, row) && ctx.Err() == nil; !whole {
			break
		}
	}
	if whole {
		buf.WriteString("\n]\n")
		whole = buf.Flush() == nil
	}
	if !whole {
		panic(http.ErrAbortHandler) // net/http's way to say: close without a proper end
	}
}

func writeJSON(buf *bufio.Writer, row any) bool {
	text, err := json.Marshal(row)
	if err != nil {
		return false
	}
	_, err = buf.Write(text)
	return err == nil
}

// pacedWriter gives each write its own deadline, and sends it at once.
type pacedWriter struct {
	w       http.ResponseWriter
	control *http.ResponseController
	stall   time.Duration // for each
	end     time.Time     // of all; zero: there is none
}

func (p *pacedWriter) Write(b []byte) (int, error) {
	deadline := time.Now().Add(p.stall)
	if !p.end.IsZero() && deadline.After(p.end) {
		deadline = p.end
	}
	if err := p.control.SetWriteDeadline(deadline); err != nil {
		return 0, err
	}
	n, err := p.w.Write(b)
	if err != nil {
		return n, err
	}
	return n, p.control.Flush()
}
