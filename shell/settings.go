package shell

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/clientapps/clientapps/operations"
)

const (
	// defaultURL is where the server listens by default.
	defaultURL = "http://127.0.0.1:8080"
	// maxSpec bounds the document of --spec, in bytes.
	maxSpec = 32 << 20
	// maxToken bounds a token in a file, in bytes. Those of identity providers are long.
	maxToken = 64 << 10
)

func (s *shell) getenv(name string) string {
	value := ""
	for _, line := range s.Environ {
		if text, ok := strings.CutPrefix(line, name+"="); ok {
			value = text // the last one counts
		}
	}
	return value
}

// loadSpec reads the document of --spec. The commands are made from it, so it is read before the flags are.
func (s *shell) loadSpec(ctx context.Context) error {
	name := ""
	for i, arg := range s.Args {
		if value, ok := strings.CutPrefix(arg, "--spec="); ok {
			name = value
		} else if arg == "--spec" && i+1 < len(s.Args) {
			name = s.Args[i+1]
		}
	}
	if name == "" {
		return nil
	}
	text, err := readSpec(ctx, name)
	if err == nil {
		s.doc, err = operations.Read(text)
	}
	if err != nil {
		return fmt.Errorf("%w: --spec %s: %w", ErrUsage, name, err)
	}
	if isURL(name) {
		s.specBase = name
	}
	return nil
}

func isURL(name string) bool {
	return strings.HasPrefix(name, "http://") || strings.HasPrefix(name, "https://")
}

func readSpec(ctx context.Context, name string) ([]byte, error) {
	if !isURL(name) {
		return os.ReadFile(name) //nolint:gosec // the user names the file
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, name, nil)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, errors.New(response.Status)
	}
	return readAtMost(response.Body, maxSpec)
}

func readAtMost(r io.Reader, limit int64) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err == nil && int64(len(text)) > limit {
		err = fmt.Errorf("more than %d bytes", limit)
	}
	return text, err
}

// baseURL returns the URL of the paths of the document: that of the server, with the path of the document's own server.
func (s *shell) baseURL() (*url.URL, error) {
	server := s.flags.url
	if server == "" {
		server = s.getenv("CLIENTAPPS_URL")
	}
	if server == "" {
		server = s.specBase
	}
	if server == "" {
		server = defaultURL
	}
	u, err := url.Parse(server)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil {
		return nil, fmt.Errorf("%w: the URL of the server must be like %s", ErrUsage, defaultURL)
	}
	documentURL, err := url.Parse(s.doc.Server)
	if err != nil {
		return nil, fmt.Errorf("%w: the document's server is no URL: %w", ErrUsage, err)
	}
	if server == s.specBase {
		// Whoever wrote the document must not learn the token of another server.
		if documentURL.Host != "" && documentURL.Host != u.Host {
			return nil, fmt.Errorf("%w: the document names the server %s: if that is the one to call, say so with --url", ErrUsage, s.doc.Server)
		}
		return u.ResolveReference(documentURL), nil
	}
	// The given URL may have the path already.
	path := strings.TrimSuffix(u.Path, "/")
	if basePath := strings.TrimSuffix(documentURL.Path, "/"); !strings.HasSuffix(path, basePath) {
		path += basePath
	}
	return &url.URL{Scheme: u.Scheme, Host: u.Host, Path: path}, nil
}

// token returns the token, or "" if there is none.
func (s *shell) token() (string, error) {
	text := s.flags.token
	if text == "" {
		text = s.getenv("CLIENTAPPS_TOKEN")
	}
	name, isFile := strings.CutPrefix(text, "@")
	if isFile {
		b, err := os.ReadFile(name) //nolint:gosec // the user names the file
		if err == nil && len(b) > maxToken {
			err = errors.New("too long")
		}
		if err != nil {
			return "", fmt.Errorf("%w: read the token: %w", ErrUsage, err)
		}
		text = strings.TrimSpace(string(b))
	}
	// Its characters are those of a header; the error does not repeat them.
	if strings.ContainsFunc(text, func(c rune) bool { return c <= ' ' || c > '~' }) {
		return "", fmt.Errorf("%w: the token has characters that a token cannot have", ErrUsage)
	}
	return text, nil
}

// The formats of output.
const (
	formatJSON   = "json"
	formatNDJSON = "ndjson"
	formatCSV    = "csv"
	formatTable  = "table"
)

var formats = []string{formatJSON, formatNDJSON, formatCSV, formatTable}

// format returns the format of the output.
func (s *shell) format() (string, error) {
	switch f := s.flags.output; {
	case slices.Contains(formats, f):
		return f, nil
	case f != "":
		return "", fmt.Errorf("%w: --output must be one of %s", ErrUsage, strings.Join(formats, ", "))
	case s.Width > 0:
		return formatTable, nil
	}
	return formatJSON, nil
}
