package shell

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/clientapps/clientapps/operations"
)

const (
	// maxInput bounds a body that is read into memory: one from standard input, which cannot be read twice. In bytes.
	maxInput = 64 << 20
	// maxAnswer bounds an answer that is read into memory, in bytes. Those of files and streams are not.
	maxAnswer = 256 << 20
	// pollInterval is how often --follow asks for new items.
	pollInterval = time.Second
)

// call is one invocation of an operation.
type call struct {
	*shell

	op          *operations.Operation
	arguments   map[string]*argumentFlag // by the name of the flag
	all, follow bool
	stdin       []byte // the body from standard input, once it is read
}

// The members of a page of a list.
const (
	data       = "data"
	nextCursor = "next_cursor"
	hasMore    = "has_more"
	cursor     = "cursor"
)

// isPaged reports whether the operation answers a page, after which another may come.
func (c *call) isPaged() bool {
	return c.op.Argument(cursor) != nil && c.answerHas(data) && c.answerHas(nextCursor)
}

// isFeed reports whether the pages have no end.
func (c *call) isFeed() bool { return c.isPaged() && c.answerHas(hasMore) }

// isStream reports whether the answer is a stream of events.
func (c *call) isStream() bool { return slices.Contains(c.op.Answers, eventStream) }

func (c *call) answerHas(property string) bool {
	return c.op.Answer != nil && slices.ContainsFunc(operations.Properties(c.op.Answer), func(p operations.Property) bool {
		return p.Name == property
	})
}

func (c *call) run(ctx context.Context) error {
	baseURL, err := c.baseURL()
	if err != nil {
		return err
	}
	sender, err := c.newSender()
	if err != nil {
		return err
	}
	format, err := c.format()
	if err != nil {
		return err
	}
	values := map[string]any{}
	for _, flag := range c.arguments {
		if flag.texts != nil {
			values[flag.argument.Name] = flag.value
		}
	}
	newRequest := func() (*http.Request, error) { return c.request(ctx, baseURL, values) }
	switch {
	case c.isStream():
		return c.printStream(ctx, sender, newRequest, format)
	case c.isPaged() && (c.all || c.follow):
		return c.printPages(ctx, sender, values, newRequest, format)
	}
	r, err := newRequest()
	if err != nil {
		return err
	}
	mediaType := c.accept(format)
	r.Header.Set("Accept", mediaType)
	response, err := sender.do(r)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if mediaType != mediaTypeJSON {
		_, err := io.Copy(c.Stdout, response.Body)
		return err
	}
	text, err := readAtMost(response.Body, maxAnswer)
	if err != nil || len(bytes.TrimSpace(text)) == 0 {
		return err
	}
	return c.print(format, text, response.Header)
}

const (
	mediaTypeJSON   = "application/json"
	mediaTypeNDJSON = "application/x-ndjson"
	mediaTypeCSV    = "text/csv"
)

// accept returns the media type to ask for. For a file it depends on the format of the output.
func (c *call) accept(format string) string {
	isFile := !slices.Contains(c.op.Answers, mediaTypeJSON)
	switch {
	case isFile && format == formatCSV && slices.Contains(c.op.Answers, mediaTypeCSV):
		return mediaTypeCSV
	case isFile && slices.Contains(c.op.Answers, mediaTypeNDJSON):
		return mediaTypeNDJSON
	}
	return mediaTypeJSON
}

// request returns the request of the call.
func (c *call) request(ctx context.Context, baseURL *url.URL, values map[string]any) (*http.Request, error) {
	if c.flags.body == "" {
		if c.op.Body != nil && c.op.Body.Schema == nil && c.op.Body.Required {
			return nil, fmt.Errorf("%w: --body is missing", ErrUsage)
		}
		r, err := c.op.Request(ctx, baseURL, values)
		if err != nil {
			return nil, usageError(err)
		}
		return r, nil
	}
	for _, flag := range c.arguments {
		if flag.argument.In == "body" && flag.texts != nil {
			return nil, fmt.Errorf("%w: --body and --%s exclude each other", ErrUsage, FlagName(flag.argument))
		}
	}
	open, size, err := c.openBody()
	if err != nil {
		return nil, fmt.Errorf("%w: --body: %w", ErrUsage, err)
	}
	r, err := c.op.RequestWithBody(ctx, baseURL, values, nil)
	if err != nil {
		return nil, usageError(err)
	}
	r.Header.Set("Content-Type", c.contentType())
	r.GetBody, r.ContentLength = open, size
	r.Body, err = open()
	return r, err
}

// openBody returns what opens the body of --body, as often as it is sent, and its size.
func (c *call) openBody() (open func() (io.ReadCloser, error), size int64, err error) {
	if c.flags.body == "-" {
		if c.stdin == nil {
			if c.stdin, err = readAtMost(c.Stdin, maxInput); err != nil {
				return nil, 0, err
			}
		}
		text := c.stdin
		return func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(text)), nil }, int64(len(text)), nil
	}
	info, err := os.Stat(c.flags.body)
	if err != nil {
		return nil, 0, err
	}
	if !info.Mode().IsRegular() {
		return nil, 0, errors.New("not a file; - is standard input")
	}
	return func() (io.ReadCloser, error) { return os.Open(c.flags.body) }, info.Size(), nil
}

// contentType returns the media type of --body.
func (c *call) contentType() string {
	b := c.op.Body
	byName := map[string]string{".csv": mediaTypeCSV, ".ndjson": mediaTypeNDJSON, ".jsonl": mediaTypeNDJSON}
	switch media := byName[strings.ToLower(filepath.Ext(c.flags.body))]; {
	case c.flags.contentType != "":
		return c.flags.contentType
	case b.JSON != "":
		return b.JSON
	case slices.Contains(b.MediaTypes, media):
		return media
	}
	return b.MediaTypes[0]
}

// usageError returns the usage error for a request that cannot be made. It names the flag that is missing.
func usageError(err error) error {
	var missing *operations.MissingError
	if errors.As(err, &missing) {
		return fmt.Errorf("%w: --%s is missing", ErrUsage, FlagName(missing.Argument))
	}
	return fmt.Errorf("%w: %w", ErrUsage, err)
}

// page is an answer with a page of a list.
type page struct {
	Data       []json.RawMessage `json:"data"`
	NextCursor *string           `json:"next_cursor"`
	HasMore    *bool             `json:"has_more"`
}

// printPages prints the items of all pages from the requested one on, and with --follow those that come later.
func (c *call) printPages(
	ctx context.Context, sender *requestSender, values map[string]any, newRequest func() (*http.Request, error), format string,
) error {
	list := c.newList(format)
	for {
		r, err := newRequest()
		if err != nil {
			return err
		}
		r.Header.Set("Accept", mediaTypeJSON)
		p, text, err := fetchPage(sender, r)
		if err != nil {
			return err
		}
		if err := list.add(p.Data); err != nil {
			return err
		}
		last := p.NextCursor == nil || p.HasMore != nil && !*p.HasMore
		switch {
		case !last:
		case !c.follow:
			return list.end(text)
		default:
			if err := sleep(ctx, pollInterval); err != nil {
				return err
			}
		}
		if p.NextCursor != nil {
			values[cursor] = *p.NextCursor
			delete(values, "since") // is for the first request
		}
	}
}

func fetchPage(sender *requestSender, r *http.Request) (p page, text []byte, err error) {
	response, err := sender.do(r)
	if err != nil {
		return p, nil, err
	}
	defer response.Body.Close()
	if text, err = readAtMost(response.Body, maxAnswer); err == nil {
		err = json.Unmarshal(text, &p)
	}
	if err != nil {
		err = fmt.Errorf("read a page: %w", err)
	}
	return p, text, err
}
