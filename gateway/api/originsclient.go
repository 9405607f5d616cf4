package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
)

// Origin speaks to a gateway as one controller. It is for one goroutine at a time.
type Origin struct {
	c    *Client
	http http.Client
	name string
	tag  string // of what was last read or said; "": none
}

// Origin returns who speaks as the origin of a name.
func (c *Client) Origin(name string) *Origin {
	t := c.http.Transport.(*http.Transport).Clone()
	t.ResponseHeaderTimeout, t.DisableKeepAlives = wordsTime, true
	return &Origin{c: c, http: http.Client{Transport: t}, name: name}
}

// ErrChanged is wrapped by the error of a request that another writer of the same origin
// has forestalled. Get says what there is now.
var ErrChanged = errors.New("another has changed what the origin has said")

// ErrUnknown is wrapped by the error of a Patch or Get of an origin that has said nothing
// yet, or whose hold time has ended: it is to Put all that it has to say.
var ErrUnknown = errors.New("the origin has said nothing, or its hold time has ended")

// Put replaces all that the origin has said.
func (o *Origin) Put(ctx context.Context, w OriginWords) (OriginAnswer, error) {
	return o.tell(ctx, http.MethodPut, w)
}

// Patch adds to what the origin has said, and takes from it. An empty one is a sign of
// life.
func (o *Origin) Patch(ctx context.Context, p OriginPatch) (OriginAnswer, error) {
	return o.tell(ctx, http.MethodPatch, p)
}

// Get returns what the origin has said. What it says next is then said for just that.
func (o *Origin) Get(ctx context.Context) (w OriginWords, err error) {
	err = o.ask(ctx, http.MethodGet, nil, &w)
	return w, err
}

// Delete ends the origin: all that it had said is forgotten.
func (o *Origin) Delete(ctx context.Context) error {
	err := o.ask(ctx, http.MethodDelete, nil, new(json.RawMessage))
	if err == nil {
		o.tag = ""
	}
	return err
}

func (o *Origin) tell(ctx context.Context, method string, what any) (a OriginAnswer, err error) {
	text, err := json.Marshal(what)
	if err == nil {
		err = o.ask(ctx, method, text, &a)
	}
	return a, err
}

func (o *Origin) ask(ctx context.Context, method string, body []byte, answer any) error {
	u := url.URL{Scheme: "http", Host: "vxgw", Path: "/v1/origins/" + o.name}
	req, err := http.NewRequestWithContext(ctx, method, u.String(), bytes.NewReader(body))
	if err != nil {
		return err
	}
	if o.tag != "" && method != http.MethodGet {
		req.Header.Set("If-Match", o.tag)
	}
	resp, err := o.http.Do(req)
	if err != nil {
		return o.c.unreachable(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return o.refusal(resp)
	}
	if tag := resp.Header.Get("ETag"); tag != "" {
		o.tag = tag
	}
	if err := json.NewDecoder(resp.Body).Decode(answer); err != nil {
		return o.c.cutOff(err)
	}
	return nil
}

// refusal reads why not.
func (o *Origin) refusal(resp *http.Response) error {
	var said errorBody
	if json.NewDecoder(io.LimitReader(resp.Body, maxBody)).Decode(&said) != nil || said.Error == "" {
		said.Error = resp.Status
	}
	switch resp.StatusCode {
	case http.StatusPreconditionFailed:
		o.tag = ""
		return originRefused{said, ErrChanged}
	case http.StatusNotFound:
		o.tag = ""
		return originRefused{said, ErrUnknown}
	}
	return originRefused{said, nil}
}

// originRefused is the gateway's own word on why not.
type originRefused struct {
	said errorBody
	why  error
}

func (e originRefused) Error() string { return e.said.Error }
func (e originRefused) Unwrap() error { return e.why }
