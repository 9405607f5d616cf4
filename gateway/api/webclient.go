package api

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
)

// Overview asks for GET /v1/overview.
func (c *Client) Overview(ctx context.Context) (o Overview, err error) {
	return o, c.getJSON(ctx, "overview", nil, &o)
}

// SearchMACs asks for the first entries, limit at the most (1 to 500), of the forwarding
// database that words find, as ParseMACQuery reads them.
func (c *Client) SearchMACs(ctx context.Context, words string, limit int) (page MACPage, err error) {
	return page, c.getJSON(ctx, "macs/search", url.Values{"q": {words}, "limit": {strconv.Itoa(limit)}}, &page)
}

func (c *Client) getJSON(ctx context.Context, name string, query url.Values, answer any) error {
	body, err := c.do(ctx, http.MethodGet, "/v1/"+name, query, nil)
	if err != nil {
		return err
	}
	defer body.Close()
	if err := json.NewDecoder(body).Decode(answer); err != nil {
		return c.cutOff(err)
	}
	return nil
}
