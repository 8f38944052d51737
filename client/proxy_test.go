package client_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/clientapps/clientapps/client"
)

// Proxies may change the case, spacing and parameters of the media type.
func TestMediaTypeOfAProxy(t *testing.T) {
	t.Parallel()
	server, err := url.Parse(strings.TrimSuffix(baseURL, "/v2"))
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{
		"application/json", "application/json; charset=utf-8", "Application/JSON;charset=UTF-8", "application/json ; a=b; c=\"d;e\"",
		"application/json;", "application/json; charset", "application/json; a=b; a=c",
	} {
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

// A request times out when the server never answers, or never ends its answer.
func TestTimeout(t *testing.T) {
	t.Parallel()
	silent := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			w.Header().Set("Content-Type", "application/json")
			_ = http.NewResponseController(w).Flush()
		} else if _, err := io.Copy(io.Discard, r.Body); err != nil { // net/http only notices a hang-up once the body is read
			return
		}
		<-r.Context().Done()
	}))
	t.Cleanup(silent.Close)
	c, err := client.New(silent.URL, token, client.WithHTTPClient(&http.Client{Timeout: 10 * time.Millisecond}))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.UpdateAppWithResponse(t.Context(), contoso, slack, nil, client.AppPatch{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("no answer: %v", err)
	}
	if _, err := c.GetAppWithResponse(t.Context(), contoso, slack, nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("endless answer: %v", err)
	}
}

// DefaultTimeout bounds a request, unless the caller passes an http.Client. The test is not parallel, since the others use
// http.DefaultTransport too.
func TestDefaultTimeout(t *testing.T) {
	var deadline, sent time.Time
	var has bool
	original := http.DefaultTransport
	http.DefaultTransport = roundTripper(func(r *http.Request) (*http.Response, error) {
		deadline, has = r.Context().Deadline()
		sent = time.Now()
		return nil, errors.New("not sent")
	})
	defer func() { http.DefaultTransport = original }()
	before := time.Now()
	_, _ = newClient(t, token).GetAppWithResponse(t.Context(), contoso, slack, nil)
	if started := deadline.Add(-client.DefaultTimeout); !has || started.Before(before) || started.After(sent) {
		t.Errorf("a request started between %v and %v has the deadline %v", before, sent, deadline)
	}
	_, _ = newClient(t, token, client.WithHTTPClient(&http.Client{})).GetAppWithResponse(t.Context(), contoso, slack, nil)
	if has {
		t.Errorf("a request of a client without a timeout has the deadline %v", deadline)
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
