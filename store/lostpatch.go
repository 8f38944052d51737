package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"gorm.io/gorm"
)

// lostPatch is updateApp for a patch whose connection was lost: what was written is there, and is answered as it was then;
// what was not has not changed anything.
func (s *Store) lostPatch(p *appPatch, gone *lostWriteError) (App, bool, error) {
	written, err := s.settle(p.ctx, gone.on, p.wrote, gone.cause)
	if err != nil || !written {
		return App{}, false, s.translate("update app", err)
	}
	var app App
	err = s.afterwards(p.ctx, func(ctx context.Context) error {
		if app, err = s.GetApp(ctx, p.key); err != nil {
			return err
		}
		return s.translate("update app", p.rewind(s.read.WithContext(ctx), &app))
	})
	return app, true, err
}

// rewind takes back what others have changed since the patch, by the history: the patch is answered with what it left, as
// any other. The app was read before, so what it shows of later changes is in the history.
func (p *appPatch) rewind(db *gorm.DB, app *App) error {
	changes := db.Model(&AppChange{}).Where("client_id = ? AND app_id = ?", p.key.ClientID, p.key.ID).Session(&gorm.Session{})
	var own []AppChange
	if err := p.by.made(changes, p.now).Limit(1).Find(&own).Error; err != nil || len(own) == 0 {
		return err
	}
	var later []AppChange
	if err := changes.Where("version > ?", own[0].Version).Order("version DESC").Find(&later).Error; err != nil {
		return err
	}
	fields := map[string]any{
		string(ColumnIsFavorite): &app.IsFavorite, string(ColumnIsApproved): &app.IsApproved,
		string(ColumnLicenseCount): &app.LicenseCount,
	}
	for _, c := range later {
		if field, ok := fields[c.Field]; ok {
			if err := json.Unmarshal([]byte(c.OldValue), field); err != nil {
				return fmt.Errorf("change %s: %w", c.ID(), err)
			}
		}
	}
	app.Version, app.UpdatedAt = own[0].Version, p.now
	app.ActorID, app.ActorName, app.RequestID = p.by.ID, p.by.Name, p.by.RequestID
	return nil
}

// wrote is the patch's witness: the history has its author, request and time. A request id that a client uses twice is
// told apart by the millisecond, and by the version where the patch was bound to one.
func (p *appPatch) wrote(db *gorm.DB) (bool, error) {
	q := db.Model(&AppChange{}).Where("client_id = ? AND app_id = ?", p.key.ClientID, p.key.ID)
	if p.at.row != 0 {
		q = q.Where("version = ?", p.at.row+1)
	}
	return p.by.wrote(q, p.now)
}

// wrote says whether the selected changes have some that the author made then.
func (by Author) wrote(changes *gorm.DB, then time.Time) (bool, error) {
	var n int64
	err := by.made(changes, then).Count(&n).Error
	return n > 0, err
}

func (by Author) made(changes *gorm.DB, then time.Time) *gorm.DB {
	return changes.Where("actor_id = ? AND request_id = ? AND changed_at = ?", by.ID, by.RequestID, then)
}
