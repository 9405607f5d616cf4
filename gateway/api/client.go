package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// answerTimeout is how long a gateway may take to begin an answer.
const answerTimeout = 10 * time.Second

// Client asks a running gateway on its control socket.
type Client struct {
	socket string
	http   http.Client
}

// NewClient returns a Client of the gateway that listens on socket. It dials
// with the first question.
func NewClient(socket string) *Client {
	return &Client{socket: socket, http: http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{Timeout: dialTime}).DialContext(ctx, "unix", socket)
		},
		ResponseHeaderTimeout: answerTimeout,
		DisableCompression:    true,
	}}}
}

// Close gives up idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Get returns the gateway's answer to GET /v1/NAME: a JSON array, as it comes.
// vni narrows it to one VNI; 0 does not. The caller closes it.
func (c *Client) Get(ctx context.Context, name string, vni uint32) (io.ReadCloser, error) {
	query := url.Values{}
	if vni != 0 {
		query.Set("vni", strconv.FormatUint(uint64(vni), 10))
	}
	return c.do(ctx, http.MethodGet, "/v1/"+name, query, nil)
}

// Copy writes the gateway's answer to GET /v1/NAME to w as it comes.
func (c *Client) Copy(ctx context.Context, w io.Writer, name string, vni uint32) error {
	body, err := c.Get(ctx, name, vni)
	if err != nil {
		return err
	}
	return c.CopyAnswer(w, body)
}

// CopyAnswer writes an answer to w as it comes, and closes it.
func (c *Client) CopyAnswer(w io.Writer, body io.ReadCloser) error {
	defer body.Close()
	buf := make([]byte, streamBuffer)
	for {
		n, err := body.Read(buf)
		if _, err := w.Write(buf[:n]); err != nil {
			return err
		}
		switch err {
		case nil:
		case io.EOF:
			return nil
		default:
			return c.cutOff(err)
		}
	}
}

// Explain asks what a frame would meet. Nothing is sent.
func (c *Client) Explain(ctx context.Context, req ExplainRequest) (answer Explanation, err error) {
	return answer, c.post(ctx, "explain", req, &answer)
}

// Rows asks c for GET /v1/NAME and yields the rows as they come. An error ends
// them.
func Rows[T any](ctx context.Context, c *Client, name string, vni uint32) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		body, err := c.Get(ctx, name, vni)
		if err != nil {
			yield(none, err)
			return
		}
		defer body.Close()
		decodeRows[T](c, body)(yield)
	}
}

// decodeRows yields the rows of an answer as they come.
func decodeRows[T any](c *Client, body io.Reader) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		d := json.NewDecoder(body)
		if _, err := d.Token(); err != nil {
			yield(none, c.cutOff(err))
			return
		}
		for d.More() {
			var row T
			if err := d.Decode(&row); err != nil {
				yield(none, c.cutOff(err))
				return
			}
			if !yield(row, nil) {
				return
			}
		}
		if _, err := d.Token(); err != nil {
			yield(none, c.cutOff(err))
		}
	}
}

// post sends a request to POST /v1/NAME, with nothing in it for nil, and reads the answer.
func (c *Client) post(ctx context.Context, name string, req, answer any) error {
	var body []byte
	if req != nil {
		var err error
		if body, err = json.Marshal(req); err != nil {
			return err
		}
	}
	resp, err := c.do(ctx, http.MethodPost, "/v1/"+name, nil, body)
	if err != nil {
		return err
	}
	defer resp.Close()
	if err := json.NewDecoder(resp).Decode(answer); err != nil {
		return c.cutOff(err)
	}
	return nil
}

func (c *Client) do(ctx context.Context, method, path string, query url.Values, body []byte) (io.ReadCloser, error) {
	return c.ask(ctx, method, path, query, http.Header{}, body)
}

func (c *Client) ask(ctx context.Context, method, path string, query url.Values, header http.Header, body []byte) (io.ReadCloser, error) {
	u := url.URL{Scheme: "http", Host: "vxgw", Path: path, RawQuery: query.Encode()}
	req, err := http.NewRequestWithContext(ctx, method, u.String(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header = header
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.unreachable(err)
	}
	if resp.StatusCode == http.StatusOK {
		return resp.Body, nil
	}
	defer resp.Body.Close()
	var refusal errorBody
	if json.NewDecoder(io.LimitReader(resp.Body, maxBody)).Decode(&refusal) != nil || refusal.Error == "" {
		return nil, fmt.Errorf("what answers on %s is no vxgw: %s", c.socket, resp.Status)
	}
	return nil, refused{resp.StatusCode, refusal.Error}
}

// refused is the gateway's own word on why not.
type refused struct {
	status int
	text   string
}

func (r refused) Error() string { return r.text }

func (r refused) Is(target error) bool {
	return target == ErrInvalid && r.status == http.StatusUnprocessableEntity || target == ErrNotNow && r.status == http.StatusConflict
}

// ErrNoGateway is that nobody listens at the control socket.
var ErrNoGateway = errors.New("no vxgw answers")

type noGateway struct{ socket string }

func (n noGateway) Error() string {
	return fmt.Sprintf("no vxgw answers on %s: is it running? systemctl status vxgw", n.socket)
}

func (n noGateway) Is(target error) bool { return target == ErrNoGateway }

// unreachable says in an operator's words why nothing was answered.
func (c *Client) unreachable(err error) error {
	var urlErr *url.Error
	if errors.As(err, &urlErr) {
		err = urlErr.Err // the URL is ours, and says nothing to anybody
	}
	var netErr net.Error
	switch {
	case errors.Is(err, context.Canceled):
		return err
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ECONNREFUSED):
		return noGateway{c.socket}
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("may not speak to %s: you are not root or in group %s", c.socket, Group)
	case errors.As(err, &netErr) && netErr.Timeout():
		return fmt.Errorf("vxgw does not answer on %s: it may be stuck, or all of its connections are taken: see its log", c.socket)
	}
	return fmt.Errorf("asking vxgw on %s: %w", c.socket, err)
}

// cutOff says why an answer that began well did not end well.
func (c *Client) cutOff(err error) error {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case errors.Is(err, context.Canceled):
		return err
	case errors.As(err, &syntax), errors.As(err, &kind):
		return fmt.Errorf("the answer on %s cannot be read: %w: are this program and the gateway of the same version?", c.socket, err)
	}
	return fmt.Errorf("the answer was cut off (%w): the gateway stopped, or it was read too slowly: write a long one to a file, not to a pager", err)
}
