package server

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/clientapps/clientapps/gen"
	"github.com/clientapps/clientapps/server/ratelimit"
	"github.com/clientapps/clientapps/store"
	"github.com/clientapps/clientapps/webhook"
)

// sendScope is the scope that a token also needs to set the URL of a webhook, since changes are sent there.
const sendScope = "apps:read"

// ListWebhooks implements listWebhooks.
func (h *handlers) ListWebhooks(ctx context.Context, r gen.ListWebhooksRequestObject) (gen.ListWebhooksResponseObject, error) {
	p, token := r.Params, requestStateOf(ctx).token
	if p.ClientID != nil && !token.Covers(*p.ClientID) {
		return nil, errForbidden()
	}
	page, err := pageParams[gen.ListWebhooksParamsSortBy, gen.ListWebhooksParamsSortOrder]{
		p.PageSize, p.Cursor, p.SortBy, p.SortOrder,
	}.page(ctx, store.ColumnCreatedAt)
	if err != nil {
		return nil, err
	}
	list, err := h.store.ListWebhooks(ctx, token, p.ClientID, page)
	if err != nil {
		return nil, err
	}
	cursor, link := nextPage(ctx, list.Next)
	return gen.ListWebhooks200JSONResponse{WebhookListJSONResponse: gen.WebhookListJSONResponse{
		Body:    gen.WebhookList{Data: mapped(list.Rows, toAPIWebhook), TotalCount: list.Total, NextCursor: cursor},
		Headers: gen.WebhookListResponseHeaders{Link: link},
	}}, nil
}

// GetWebhook implements getWebhook.
func (h *handlers) GetWebhook(ctx context.Context, r gen.GetWebhookRequestObject) (gen.GetWebhookResponseObject, error) {
	hook, err := h.store.GetWebhook(ctx, requestStateOf(ctx).token, r.WebhookID)
	if err != nil {
		return nil, err
	}
	return gen.GetWebhook200JSONResponse{WebhookJSONResponse: gen.WebhookJSONResponse{Body: toAPIWebhook(hook)}}, nil
}

// CreateWebhook implements createWebhook.
func (h *handlers) CreateWebhook(ctx context.Context, r gen.CreateWebhookRequestObject) (gen.CreateWebhookResponseObject, error) {
	hook, since, err := h.newWebhook(ctx, *r.Body)
	if err != nil {
		return nil, err
	}
	secret, sealed, err := h.newSecret(hook.ID)
	if err != nil {
		return nil, err
	}
	hook.Secret = sealed
	hook, err = h.store.CreateWebhook(ctx, requestStateOf(ctx).token, hook, since)
	if err != nil {
		return nil, err
	}
	h.logWebhook(ctx, "webhook created", hook.ID)
	return gen.CreateWebhook201JSONResponse{WebhookCreatedJSONResponse: gen.WebhookCreatedJSONResponse{
		Body:    toAPIWebhookWithSecret(hook, secret),
		Headers: gen.WebhookCreatedResponseHeaders{Location: location("webhooks", hook.ID)},
	}}, nil
}

// UpdateWebhook implements updateWebhook.
func (h *handlers) UpdateWebhook(ctx context.Context, r gen.UpdateWebhookRequestObject) (gen.UpdateWebhookResponseObject, error) {
	patch, token := *r.JSONBody, requestStateOf(ctx).token
	if patch.URL != nil {
		if !token.HasScope(sendScope) {
			return nil, errForbidden()
		}
		if err := h.checkWebhookURL(*patch.URL); err != nil {
			return nil, err
		}
	}
	hook, err := h.store.UpdateWebhook(ctx, token, r.WebhookID, webhookFields(patch))
	if err != nil {
		return nil, err
	}
	h.logWebhook(ctx, "webhook updated", hook.ID)
	return gen.UpdateWebhook200JSONResponse{WebhookJSONResponse: gen.WebhookJSONResponse{Body: toAPIWebhook(hook)}}, nil
}

// DeleteWebhook implements deleteWebhook.
func (h *handlers) DeleteWebhook(ctx context.Context, r gen.DeleteWebhookRequestObject) (gen.DeleteWebhookResponseObject, error) {
	if err := h.store.DeleteWebhook(ctx, requestStateOf(ctx).token, r.WebhookID); err != nil {
		return nil, err
	}
	h.logWebhook(ctx, "webhook deleted", r.WebhookID)
	return gen.DeleteWebhook204Response{}, nil
}

// RotateWebhookSecret implements rotateWebhookSecret.
func (h *handlers) RotateWebhookSecret(ctx context.Context, r gen.RotateWebhookSecretRequestObject) (gen.RotateWebhookSecretResponseObject, error) {
	token := requestStateOf(ctx).token
	if _, err := h.store.GetWebhook(ctx, token, r.WebhookID); err != nil {
		return nil, err
	}
	secret, sealed, err := h.newSecret(r.WebhookID)
	if err != nil {
		return nil, err
	}
	hook, err := h.store.RotateWebhookSecret(ctx, token, r.WebhookID, sealed)
	if err != nil {
		return nil, err
	}
	h.logWebhook(ctx, "webhook secret rotated", hook.ID)
	return gen.RotateWebhookSecret200JSONResponse{WebhookRotatedJSONResponse: gen.WebhookRotatedJSONResponse{
		Body: toAPIWebhookWithSecret(hook, secret),
	}}, nil
}

// ReplayWebhook implements replayWebhook.
func (h *handlers) ReplayWebhook(ctx context.Context, r gen.ReplayWebhookRequestObject) (gen.ReplayWebhookResponseObject, error) {
	token := requestStateOf(ctx).token
	hook, err := h.store.GetWebhook(ctx, token, r.WebhookID)
	if err != nil {
		return nil, err
	}
	from, err := parseFeedStart(webhookFeedScope(hook), r.Body.Cursor, r.Body.Since)
	if err == nil && from == (store.ChangeStart{}) {
		field := "since"
		err = invalidRequest("either since or cursor is needed", &gen.ErrorDetails{Field: &field})
	}
	if err != nil {
		return nil, err
	}
	if hook, err = h.store.ReplayWebhook(ctx, token, r.WebhookID, from); err != nil {
		return nil, err
	}
	h.logWebhook(ctx, "webhook replayed", hook.ID)
	return gen.ReplayWebhook200JSONResponse{WebhookJSONResponse: gen.WebhookJSONResponse{Body: toAPIWebhook(hook)}}, nil
}

// TestWebhook implements testWebhook.
func (h *handlers) TestWebhook(ctx context.Context, r gen.TestWebhookRequestObject) (gen.TestWebhookResponseObject, error) {
	if _, err := h.store.GetWebhook(ctx, requestStateOf(ctx).token, r.WebhookID); err != nil {
		return nil, err
	}
	if !h.webhooks.Enabled() {
		return nil, errWebhooksOff()
	}
	hook, err := h.store.BeginWebhookTest(ctx, requestStateOf(ctx).token, r.WebhookID)
	if err != nil {
		return nil, err
	}
	// The receiver may take longer than the database timeout. Its response is recorded even if the caller has disconnected.
	attempt, err := h.webhooks.Test(context.WithoutCancel(ctx), &hook, encodePing)
	if err != nil {
		return nil, err
	}
	return gen.TestWebhook200JSONResponse{WebhookTestedJSONResponse: gen.WebhookTestedJSONResponse{Body: gen.WebhookTest{
		DeliveryID: attempt.DeliveryID, Status: attempt.Status, DurationMs: attempt.DurationMS, Error: attempt.Error,
	}}}, nil
}

// ListWebhookDeliveries implements listWebhookDeliveries.
func (h *handlers) ListWebhookDeliveries(ctx context.Context, r gen.ListWebhookDeliveriesRequestObject) (gen.ListWebhookDeliveriesResponseObject, error) {
	page, err := pageParams[string, string]{size: r.Params.PageSize, cursor: r.Params.Cursor}.page(ctx, store.ColumnAttemptedAt)
	if err != nil {
		return nil, err
	}
	list, err := h.store.ListWebhookDeliveries(ctx, requestStateOf(ctx).token, r.WebhookID, page)
	if err != nil {
		return nil, err
	}
	cursor, link := nextPage(ctx, list.Next)
	return gen.ListWebhookDeliveries200JSONResponse{WebhookDeliveryListJSONResponse: gen.WebhookDeliveryListJSONResponse{
		Body:    gen.WebhookDeliveryList{Data: mapped(list.Rows, toAPIWebhookDelivery), TotalCount: list.Total, NextCursor: cursor},
		Headers: gen.WebhookDeliveryListResponseHeaders{Link: link},
	}}, nil
}

// newWebhook returns the webhook that a body describes, and where it begins. It checks the rules that the schema cannot express.
func (h *handlers) newWebhook(ctx context.Context, b gen.WebhookCreate) (hook store.Webhook, since *time.Time, err error) {
	token := requestStateOf(ctx).token
	hook = store.Webhook{ID: uuid.New(), URL: b.URL, Fields: fieldNames(b.Fields)}
	if b.ClientID.IsNull() {
		if !token.AllClients {
			return hook, nil, errForbidden()
		}
	} else {
		client := b.ClientID.MustGet()
		if hook.ClientID = &client; !token.Covers(client) {
			return hook, nil, errForbidden()
		}
	}
	if b.Description.IsSpecified() && !b.Description.IsNull() {
		description := b.Description.MustGet()
		hook.Description = &description
	}
	from, err := parseFeedStart("", nil, b.Since)
	if err == nil {
		err = h.checkWebhookURL(b.URL)
	}
	return hook, from.Since, err
}

// webhookFields returns the columns that the patch sets.
func webhookFields(p gen.WebhookPatch) store.Fields {
	fields := store.Fields{}
	setValue(fields, store.ColumnURL, p.URL)
	setNullable(fields, store.ColumnDescription, p.Description)
	if p.Fields != nil {
		fields[store.ColumnFields] = fieldNames(p.Fields)
	}
	if p.Status != nil {
		fields[store.ColumnStatus] = string(*p.Status)
	}
	return fields
}

// fieldNames returns the names of fields in the form of the store: sorted, separated by spaces.
func fieldNames(fields *[]gen.ChangedField) string {
	if fields == nil {
		return ""
	}
	names := make([]string, len(*fields))
	for i, field := range *fields {
		names[i] = string(field)
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

func (h *handlers) checkWebhookURL(url string) error {
	if h.webhooks.CheckURL(url) == nil {
		return nil
	}
	field := "url"
	return invalidRequest("url must be an https URL at port 443 or 8443 of at most 2048 characters, without user information or fragment, "+
		"of a public address", &gen.ErrorDetails{Field: &field})
}

// newSecret makes a secret for a webhook, as callers see it and sealed for the database.
func (h *handlers) newSecret(id uuid.UUID) (secret string, sealed []byte, err error) {
	if !h.webhooks.Enabled() {
		return "", nil, errWebhooksOff()
	}
	key := webhook.NewSecret()
	sealed, err = h.webhooks.Seal(id, key)
	return webhook.FormatSecret(key), sealed, err
}

func errWebhooksOff() *Error { return errConflict("This server has no key for webhooks", nil) }

// logWebhook logs a change of a webhook with its actor.
func (h *handlers) logWebhook(ctx context.Context, change string, id uuid.UUID) {
	by := actor(ctx)
	h.log.InfoContext(ctx, change, "webhook_id", id, slog.Group("actor", "id", by.ID.String(), "name", by.Name), "request_id", by.RequestID)
}

// webhookFeedScope returns the cursor scope of the feed that a webhook follows.
func webhookFeedScope(hook store.Webhook) string {
	if hook.ClientID == nil {
		return feedScope(basePath+"/changes", nil)
	}
	return feedScope(basePath+"/clients/"+hook.ClientID.String()+"/changes", nil)
}

// encodeDelivery returns the body of a delivery.
func encodeDelivery(client uuid.UUID, at time.Time, changes []store.AppChange) ([]byte, error) {
	return encodeBody(gen.ChangesDelivery{
		Type: gen.ChangesDeliveryTypeAppChanged, Timestamp: timestamp(at),
		Data: gen.DeliveredChanges{ClientID: client, Changes: mapped(changes, toAPIFeedChange)},
	})
}

// encodePing returns the body of a test.
func encodePing(webhook uuid.UUID, at time.Time) ([]byte, error) {
	return encodeBody(gen.PingDelivery{
		Type: gen.PingDeliveryTypePing, Timestamp: timestamp(at), Data: gen.TestedWebhook{WebhookID: webhook},
	})
}

func encodeBody(delivery any) ([]byte, error) {
	body, err := encodeJSON(delivery)
	return bytes.TrimSpace(body), err
}

func toAPIWebhook(w store.Webhook) gen.Webhook {
	fields := []gen.ChangedField{}
	for name := range strings.FieldsSeq(w.Fields) {
		fields = append(fields, gen.ChangedField(name))
	}
	return gen.Webhook{
		ID: w.ID, ClientID: w.ClientID, URL: w.URL, Description: w.Description, Fields: fields, Status: gen.WebhookStatus(w.Status),
		LastError: w.LastError, Behind: count(w.Behind), CreatedBy: w.CreatedBy,
		CreatedAt: timestamp(w.CreatedAt), UpdatedAt: timestamp(w.UpdatedAt),
	}
}

func toAPIWebhookWithSecret(hook store.Webhook, secret string) gen.WebhookWithSecret {
	w := toAPIWebhook(hook)
	return gen.WebhookWithSecret{
		ID: w.ID, ClientID: w.ClientID, URL: w.URL, Description: w.Description, Fields: w.Fields,
		Status: gen.WebhookWithSecretStatus(w.Status), LastError: w.LastError, Behind: w.Behind, CreatedBy: w.CreatedBy,
		CreatedAt: w.CreatedAt, UpdatedAt: w.UpdatedAt, Secret: secret,
	}
}

func toAPIWebhookDelivery(a store.WebhookAttempt) gen.WebhookDelivery {
	return gen.WebhookDelivery{
		ID: a.ID, DeliveryID: a.DeliveryID, Type: gen.WebhookDeliveryType(a.Type), AttemptedAt: timestamp(a.AttemptedAt),
		Status: a.Status, DurationMs: a.DurationMS, Error: a.Error,
	}
}

// webhookError maps the errors of the store that only webhooks have. It returns nil for others.
func webhookError(err error) *Error {
	var (
		limit  *store.WebhookLimitError
		pruned *store.WebhookPrunedError
		soon   *store.TooSoonError
	)
	switch {
	case errors.As(err, &limit):
		field := "client_id"
		return errConflict("There are "+strconv.Itoa(limit.Limit)+" webhooks already", &gen.ErrorDetails{Field: &field})
	case errors.As(err, &pruned):
		return errConflict("Changes that the webhook has not delivered are no longer kept. Replay it first", &gen.ErrorDetails{WebhookID: &pruned.ID})
	case errors.As(err, &soon):
		return &Error{
			Status: http.StatusTooManyRequests, Code: gen.ErrorCodeRateLimited, Message: "Too many requests", Cause: causeRateLimit,
			Header: http.Header{"Retry-After": {strconv.FormatInt(ratelimit.Seconds(soon.RetryAfter), 10)}},
		}
	}
	return nil
}
