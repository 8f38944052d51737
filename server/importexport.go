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

// isTransfer reports whether the operation is an export or an import. These have limits of their own.
func (op *operation) isTransfer() bool { return op.export || op.upload }

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

// export is the response of an export. Its rows are read from the database while they are written.
type export[T any] struct {
	state     *requestState
	rows      iter.Seq2[T, error]
	newWriter func(*bufio.Writer, rowfile.Format) *rowfile.Writer[T]
	name      string // of the file
}

// VisitExportAppsResponse implements gen.ExportAppsResponseObject.
func (e export[T]) VisitExportAppsResponse(w http.ResponseWriter) error { return e.write(w) }

// VisitExportCatalogResponse implements gen.ExportCatalogResponseObject.
func (e export[T]) VisitExportCatalogResponse(w http.ResponseWriter) error { return e.write(w) }

// write returns an error that occurs before the first row. A later error aborts the response.
func (e export[T]) write(w http.ResponseWriter) error {
	answer, err := transport.NewStreamingResponse(w, streamWriteTimeout)
	if err != nil {
		return err
	}
	out := bufio.NewWriterSize(flushingWriter{answer}, exportBuffer)
	file := e.newWriter(out, e.state.fileFormat)
	begun := false
	for row, err := range e.rows {
		if err != nil && !begun {
			return err
		}
		if !begun {
			e.writeHeader(w)
			begun, err = true, file.Begin()
		}
		if e.state.headOnly {
			return nil
		}
		if err == nil {
			err = file.Write(row)
		}
		if err != nil {
			e.state.abort(err)
		}
	}
	if !begun {
		e.writeHeader(w)
		err = file.Begin()
	}
	if !e.state.headOnly {
		err = errors.Join(err, out.Flush())
	}
	if err != nil {
		e.state.abort(err)
	}
	return nil
}

func (e export[T]) writeHeader(w http.ResponseWriter) {
	header := w.Header()
	header.Set(headerContentType, e.state.fileFormat.MediaType())
	header.Set("Content-Disposition", `attachment; filename="`+e.name+"."+string(e.state.fileFormat)+`"`)
	varyByAccept(header)
	w.WriteHeader(http.StatusOK)
}

// abort ends a response that has begun and cannot be completed: net/http closes the connection, or resets the HTTP/2 stream,
// without the end of the body.
func (state *requestState) abort(err error) {
	state.observed.Err = err
	panic(http.ErrAbortHandler) //nolint:forbidigo // the only way to say it to net/http
}

// flushingWriter flushes after each write.
type flushingWriter struct{ answer *transport.StreamingResponse }

func (f flushingWriter) Write(b []byte) (int, error) {
	n, err := f.answer.Write(b)
	if err == nil {
		err = f.answer.Flush()
	}
	return n, err
}

// exportFormat returns the format that Accept prefers: by quality, then by the most specific media range. NDJSON wins a tie.
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
	rows, err := rowfile.Apps(r.Body, requestStateOf(ctx).fileFormat)
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
	rows, err := rowfile.Catalog(r.Body, requestStateOf(ctx).fileFormat)
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

// newImportBody returns the body of an import, which has its own bounds of size and time. Its read errors are *Error values.
func (s *Server) newImportBody(w http.ResponseWriter, r *http.Request) (io.ReadCloser, error) {
	bounded := http.MaxBytesReader(w, r.Body, maxFile)
	body, err := transport.LongBody(w, bounded, s.uploadTimeout, importTimeout+s.timeouts.Request)
	return importBody{body, bounded}, err
}

type importBody struct {
	io.Reader
	io.Closer
}

// Read implements io.Reader.
func (b importBody) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = errUnreadableBody(err)
	}
	return n, err
}

// importError lists the invalid rows, each with its line.
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
