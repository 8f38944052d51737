package telemetry

import (
	"context"
	"log/slog"
	"slices"

	"github.com/clientapps/clientapps/store/apitoken"
)

// Redact removes tokens from all log lines, wherever in a request they were: the path, an invalid name, the request id.
func Redact(h slog.Handler) slog.Handler { return redacting{h} }

type redacting struct{ slog.Handler }

func (h redacting) Handle(ctx context.Context, r slog.Record) error {
	found := apitoken.IsIn(r.Message)
	r.Attrs(func(a slog.Attr) bool {
		found = found || showsToken(a)
		return !found
	})
	if !found {
		return h.Handler.Handle(ctx, r)
	}
	clean := slog.NewRecord(r.Time, r.Level, apitoken.Redact(r.Message), r.PC)
	r.Attrs(func(a slog.Attr) bool {
		clean.AddAttrs(redacted(a))
		return true
	})
	return h.Handler.Handle(ctx, clean)
}

func (h redacting) WithAttrs(attrs []slog.Attr) slog.Handler {
	return redacting{h.Handler.WithAttrs(redactedAll(attrs))}
}

func (h redacting) WithGroup(name string) slog.Handler { return redacting{h.Handler.WithGroup(name)} }

func showsToken(a slog.Attr) bool {
	switch v := a.Value.Resolve(); v.Kind() {
	case slog.KindString:
		return apitoken.IsIn(v.String())
	case slog.KindGroup:
		return slices.ContainsFunc(v.Group(), showsToken)
	case slog.KindAny:
		err, ok := v.Any().(error)
		return ok && apitoken.IsIn(err.Error())
	default:
		return false
	}
}

func redacted(a slog.Attr) slog.Attr {
	switch v := a.Value.Resolve(); v.Kind() {
	case slog.KindString:
		a.Value = slog.StringValue(apitoken.Redact(v.String()))
	case slog.KindGroup:
		a.Value = slog.GroupValue(redactedAll(v.Group())...)
	case slog.KindAny:
		if err, ok := v.Any().(error); ok {
			a.Value = slog.StringValue(apitoken.Redact(err.Error()))
		}
	default: // numbers and times
	}
	return a
}

func redactedAll(attrs []slog.Attr) []slog.Attr {
	clean := make([]slog.Attr, len(attrs))
	for i, a := range attrs {
		clean[i] = redacted(a)
	}
	return clean
}
