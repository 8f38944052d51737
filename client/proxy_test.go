package client_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/clientapps/clientapps/client"
)

// Proxies write the media type in their own way.
func TestMediaTypeOfAProxy(t *testing.T) {
	t.Parallel()
	server, err := url.Parse(strings.TrimSuffix(baseURL, "/v2"))
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{"application/json; charset=utf-8", "Application/JSON;charset=UTF-8", "application/json"} {
		proxy := httputil.ReverseProxy{
			Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(server) },
			ModifyResponse: func(r *http.Response) error {
				r.Header.Set("Content-Type", kind)
				return nil
			},
		}
		front := httptest.NewServer(&proxy)
		t.Cleanup(front.Close)
		c, err := client.New(front.URL+"/v2", token)
		if err != nil {
			t.Fatal(err)
		}
		app, err := c.GetAppWithResponse(t.Context(), contoso, slack, nil)
		if err != nil || app.JSON200 == nil || app.JSON200.ID != slack {
			t.Errorf("%s: %v", kind, err)
		}
		_, err = c.GetAppWithResponse(t.Context(), contoso, contoso, nil)
		if refused := (*client.StatusError)(nil); !errors.As(err, &refused) || refused.Code != client.ErrorCodeNotFound {
			t.Errorf("%s: an error is %v", kind, err)
		}
	}
}

// A server that never answers is given up, as the caller's own http.Client says.
func TestTimeoutOfTheCaller(t *testing.T) {
	t.Parallel()
	silent := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	t.Cleanup(silent.Close)
	c, err := client.New(silent.URL, token, client.WithHTTPClient(&http.Client{Timeout: 10 * time.Millisecond}))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.GetAppWithResponse(t.Context(), contoso, slack, nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

// A client that nobody configured gives up after DefaultTimeout. Not parallel: it takes the place of http.DefaultTransport.
func TestDefaultTimeout(t *testing.T) {
	var deadline time.Time
	var has bool
	transport := roundTripper(func(r *http.Request) (*http.Response, error) {
		deadline, has = r.Context().Deadline()
		return nil, errors.New("not sent")
	})
	original := http.DefaultTransport
	http.DefaultTransport = transport
	defer func() { http.DefaultTransport = original }()
	c, err := client.New("http://127.0.0.1/v2", token)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = c.GetAppWithResponse(t.Context(), contoso, slack, nil)
	if left := time.Until(deadline); !has || left > client.DefaultTimeout || left < client.DefaultTimeout/2 {
		t.Errorf("a request has %v", left)
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
