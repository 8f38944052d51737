package server

import (
	"bufio"
	"context"
	"errors"
	"io"
	"iter"
	"mime"
	"net/http"
	"time"

	"github.com/clientapps/clientapps/gen"
	"github.com/clientapps/clientapps/server/rowfile"
	"github.com/clientapps/clientapps/server/transport"
	"github.com/clientapps/clientapps/server/validate"
	"github.com/clientapps/clientapps/store"
)

const (
	maxFile       = 64 << 20         // bytes of an import
	exportTimeout = 10 * time.Minute // for an export
	importTimeout = 3 * time.Minute  // for an import, once its file has arrived
	exportBuffer  = 32 << 10         // bytes that are sent at once
)

// transfers reports whether the operation reads or writes a file. Its bounds are not those of other requests.
func (op *operation) transfers() bool { return op.export || op.upload }

// ExportApps implements exportApps.
func (h *handlers) ExportApps(ctx context.Context, r gen.ExportAppsRequestObject) (gen.ExportAppsResponseObject, error) {
	p := r.Params
	order, err := pageParams[gen.ExportAppsParamsSortBy, gen.ExportAppsParamsSortOrder]{
		sortBy: p.SortBy, order: p.SortOrder,
	}.page(ctx, store.ColumnCanonicalName)
	if err != nil {
		return nil, err
	}
	rows := h.store.ExportApps(ctx, r.ClientID, store.AppFilter{
		Query: text(p.Q), CategoryID: p.CategoryID, VendorID: p.VendorID, Type: p.Type,
		IsFavorite: p.IsFavorite, IsApproved: p.IsApproved,
	}, order)
	return export[store.AppRow]{requestStateOf(ctx), rows, rowfile.NewAppWriter, "apps-" + r.ClientID.String()}, nil
}

// ExportCatalog implements exportCatalog.
func (h *handlers) ExportCatalog(ctx context.Context, r gen.ExportCatalogRequestObject) (gen.ExportCatalogResponseObject, error) {
	p := r.Params
	order, err := pageParams[gen.ExportCatalogParamsSortBy, gen.ExportCatalogParamsSortOrder]{
		sortBy: p.SortBy, order: p.SortOrder,
	}.page(ctx, store.ColumnCanonicalName)
	if err != nil {
		return nil, err
	}
	filter := store.CatalogFilter{Query: text(p.Q), CategoryID: p.CategoryID, VendorID: p.VendorID, Type: p.Type}
	rows := h.store.ExportCatalog(ctx, filter, order)
	return export[store.CatalogRow]{requestStateOf(ctx), rows, rowfile.NewCatalogWriter, "catalog"}, nil
}

// export is the answer of an export: rows that are read while they are written.
type export[T any] struct {
	state  *requestState
	rows   iter.Seq2[T, error]
	writer func(*bufio.Writer, rowfile.Format) *rowfile.Writer[T]
	name   string // of the file
}

// VisitExportAppsResponse implements gen.ExportAppsResponseObject.
func (e export[T]) VisitExportAppsResponse(w http.ResponseWriter) error { return e.write(w) }

// VisitExportCatalogResponse implements gen.ExportCatalogResponseObject.
func (e export[T]) VisitExportCatalogResponse(w http.ResponseWriter) error { return e.write(w) }

// write returns what fails before the first rows are there. What fails later cuts the answer.
func (e export[T]) write(w http.ResponseWriter) error {
	answer, err := transport.NewLongAnswer(w, streamTimeout)
	if err != nil {
		return err
	}
	out := bufio.NewWriterSize(flushed{answer}, exportBuffer)
	file := e.writer(out, e.state.file)
	begun := false
	for row, err := range e.rows {
		if err != nil && !begun {
			return err
		}
		if !begun {
			e.begin(w)
			begun, err = true, file.Begin()
		}
		if e.state.head {
			return nil
		}
		if err == nil {
			err = file.Write(row)
		}
		if err != nil {
			e.state.cut(err)
		}
	}
	if !begun {
		e.begin(w)
		err = file.Begin()
	}
	if !e.state.head {
		err = errors.Join(err, out.Flush())
	}
	if err != nil {
		e.state.cut(err)
	}
	return nil
}

func (e export[T]) begin(w http.ResponseWriter) {
	header := w.Header()
	header.Set(headerContentType, e.state.file.MediaType())
	header.Set("Content-Disposition", `attachment; filename="`+e.name+"."+string(e.state.file)+`"`)
	varyByAccept(header)
	w.WriteHeader(http.StatusOK)
}

// cut ends an answer that has begun and cannot be completed: the connection closes, or with HTTP/2 the stream, without the end of the body.
func (x *requestState) cut(err error) {
	x.observed.Err = err
	panic(http.ErrAbortHandler) //nolint:forbidigo // the only way to say it to net/http
}

// flushed sends what is written.
type flushed struct{ answer *transport.LongAnswer }

func (f flushed) Write(b []byte) (int, error) {
	n, err := f.answer.Write(b)
	if err == nil {
		err = f.answer.Flush()
	}
	return n, err
}

// exportFormat returns the format that Accept prefers: by quality, then by how closely it is named, and NDJSON where they are equal.
func exportFormat(accepted []string) rowfile.Format {
	best, format := preference{q: -1}, rowfile.NDJSON
	for _, f := range []rowfile.Format{rowfile.NDJSON, rowfile.CSV} {
		p, _ := preferenceFor(accepted, f.MediaType()) // a malformed header prefers nothing
		if p.q > best.q || p.q == best.q && p.rank > best.rank {
			best, format = p, f
		}
	}
	return format
}

// ImportApps implements importApps.
func (h *handlers) ImportApps(ctx context.Context, r gen.ImportAppsRequestObject) (gen.ImportAppsResponseObject, error) {
	rows, err := rowfile.Apps(r.Body, requestStateOf(ctx).file)
	if err != nil {
		return nil, err
	}
	result, err := h.store.ImportApps(ctx, r.ClientID, rows, actor(ctx), store.ImportOptions{})
	if err != nil {
		return nil, err
	}
	return gen.ImportApps200JSONResponse{ImportResultJSONResponse: importResult(result)}, nil
}

// ImportCatalog implements importCatalog.
func (h *handlers) ImportCatalog(ctx context.Context, r gen.ImportCatalogRequestObject) (gen.ImportCatalogResponseObject, error) {
	rows, err := rowfile.Catalog(r.Body, requestStateOf(ctx).file)
	if err != nil {
		return nil, err
	}
	result, err := h.store.ImportCatalog(ctx, rows, actor(ctx), store.ImportOptions{})
	if err != nil {
		return nil, err
	}
	return gen.ImportCatalog200JSONResponse{ImportResultJSONResponse: importResult(result)}, nil
}

func importResult(r store.ImportResult) gen.ImportResultJSONResponse {
	return gen.ImportResultJSONResponse{
		Body: gen.ImportResult{Created: count(r.Created), Updated: count(r.Updated), Unchanged: count(r.Unchanged)},
	}
}

// fileFormat returns the format of a file that the operation accepts.
func fileFormat(contentType string) rowfile.Format {
	media, _, _ := mime.ParseMediaType(contentType)
	format, _ := rowfile.FormatOf(media)
	return format
}

// fileBody returns the body of an import, which has its own bounds of size and time. Its errors are answers.
func (s *Server) fileBody(w http.ResponseWriter, r *http.Request) (io.ReadCloser, error) {
	bounded := http.MaxBytesReader(w, r.Body, maxFile)
	body, err := transport.LongBody(w, bounded, s.uploadTimeout, importTimeout+s.timeouts.Request)
	return fileBody{body, bounded}, err
}

type fileBody struct {
	io.Reader
	io.Closer
}

// Read implements io.Reader.
func (b fileBody) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = errBody(err)
	}
	return n, err
}

// importError lists the rows that are wrong, each with its line.
func importError(e *store.ImportError) *Error {
	all := make([]gen.FieldError, len(e.Rows))
	for i, row := range e.Rows {
		line, pointer := int32(row.Line), "" //nolint:gosec // a file has at most 64 Mi lines
		if row.Field != "" {
			pointer = validate.Pointer(row.Field)
		}
		all[i] = gen.FieldError{Line: &line, Field: row.Field, Pointer: pointer, Message: row.Message}
	}
	details := &gen.ErrorDetails{Errors: &all}
	if field := e.Rows[0].Field; field != "" {
		details.Field = &field
	}
	return invalidRequest(e.Rows[0].Error(), details)
}
