package server

import (
	"context"

	"github.com/clientapps/clientapps/gen"
	"github.com/clientapps/clientapps/store"
)

// handlers implements the contract. A handler maps, calls the store and maps; failures are Go errors.
type handlers struct{ store *store.Store }

var _ gen.StrictServerInterface = (*handlers)(nil)

// GetApp implements getApp.
func (h *handlers) GetApp(ctx context.Context, r gen.GetAppRequestObject) (gen.GetAppResponseObject, error) {
	app, err := h.store.GetApp(ctx, store.AppKey{ClientID: r.ClientID, ID: r.AppID})
	if err != nil {
		return nil, err
	}
	return gen.GetApp200JSONResponse{AppJSONResponse: appResponse(app)}, nil
}

// UpdateApp implements updateApp.
func (h *handlers) UpdateApp(ctx context.Context, r gen.UpdateAppRequestObject) (gen.UpdateAppResponseObject, error) {
	key := store.AppKey{ClientID: r.ClientID, ID: r.AppID}
	app, err := h.store.UpdateApp(ctx, key, appFields(*r.JSONBody), author(ctx), toMatch(r.Params.IfMatch))
	if err != nil {
		return nil, err
	}
	return gen.UpdateApp200JSONResponse{AppJSONResponse: appResponse(app)}, nil
}

func appResponse(app store.App) gen.AppJSONResponse {
	return gen.AppJSONResponse{
		Body: toAPIApp(app), Headers: gen.AppResponseHeaders{ETag: entityTag(app.Tag())},
	}
}
