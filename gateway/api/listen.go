package api

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"strconv"

	"github.com/tmaxmax/go-sse"

	"vxgw/gateway/events"
)

// maxEvent is the longest event that a client reads, in bytes: a reload's names its
// changes.
const maxEvent = 1 << 20

// Listening is what a client wants to hear of.
type Listening struct {
	Types    string // separated by commas; "": all
	VNI      uint32 // 0: all
	Origin   string // whose stream it is: this controller lives while it is open; "": nobody's
	Snapshot bool   // begin with what there is
	After    uint64 // go on after this event; 0: with the next one
}

func (l Listening) query() url.Values {
	q := url.Values{}
	if l.Types != "" {
		q.Set("types", l.Types)
	}
	if l.VNI != 0 {
		q.Set("vni", strconv.FormatUint(uint64(l.VNI), 10))
	}
	if l.Origin != "" {
		q.Set("origin", l.Origin)
	}
	if l.Snapshot {
		q.Set("snapshot", "1")
	}
	return q
}

// Listen yields what happens, as it happens, until ctx ends or an error, which it yields
// last: the gateway has stopped, or cannot be asked. l.After is kept up to date with
// what was yielded, so that another Listen with the same l goes on from there.
func (c *Client) Listen(ctx context.Context, l *Listening) iter.Seq2[events.Event, error] {
	return func(yield func(events.Event, error) bool) {
		body, err := c.listen(ctx, l)
		if err != nil {
			yield(events.Event{}, err)
			return
		}
		defer body.Close()
		for raw, err := range sse.Read(body, &sse.ReadConfig{MaxEventSize: maxEvent}) {
			var e events.Event
			if err == nil && raw.Data != "" {
				err = json.Unmarshal([]byte(raw.Data), &e)
			}
			if err != nil {
				yield(e, c.cutOff(err))
				return
			}
			l.After, _ = strconv.ParseUint(raw.LastEventID, 10, 64) // "": there is none to go on from
			if raw.Data != "" && !yield(e, nil) {
				return
			}
		}
		yield(events.Event{}, c.cutOff(io.EOF))
	}
}

func (c *Client) listen(ctx context.Context, l *Listening) (io.ReadCloser, error) {
	header := http.Header{}
	if l.After != 0 {
		header.Set(lastID, fmt.Sprint(l.After))
	}
	return c.ask(ctx, http.MethodGet, "/v1/events", l.query(), header, nil)
}
