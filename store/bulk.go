package store

import (
	"context"
	"slices"

	"github.com/google/uuid"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/clientapps/clientapps/store/tenant"
)

// BulkSet sets one boolean of many apps of one client, in one transaction of three statements. It returns the apps that
// the client does not have; the others have the value afterwards, and those that had it before are not written.
// NotFoundError names the client.
func (s *Store) BulkSet(ctx context.Context, clientID uuid.UUID, ids []uuid.UUID, column Column, value bool, by Actor) (missing []uuid.UUID, err error) {
	var found []uuid.UUID
	set := by.written(s.notEarlier(s.now()))
	set["version"] = gorm.Expr("version + 1")
	set[string(column)] = value
	var changed []App
	wrote := func(db *gorm.DB) (bool, error) { return by.wrote(db, clientID, string(column), changed) }
	err = s.inTx(ctx, clientShare(clientID), wrote, func(tx *gorm.DB) error {
		these := whereIn(tenant.Of(tx, clientID).Model(&App{}), "id", ids).Session(&gorm.Session{})
		// Locked in the order of the ids, so that two bulk writes cannot wait for each other.
		if err := these.Clauses(clause.Locking{Strength: "UPDATE"}).Order("id").Pluck("id", &found).Error; err != nil {
			return err
		}
		changed = nil
		return these.Where(string(column)+" <> ?", value).Model(&changed).Clauses(returnVersions).Updates(set).Error
	})
	if err != nil {
		return nil, s.translate("set apps", err)
	}
	if len(found) == 0 {
		if _, err := s.GetClient(ctx, clientID); err != nil {
			return nil, err
		}
	}
	for _, id := range ids {
		if _, ok := slices.BinarySearchFunc(found, id, compareIDs); !ok {
			missing = append(missing, id)
		}
	}
	return missing, nil
}

// compareIDs orders ids as both databases do: bytewise.
func compareIDs(a, b uuid.UUID) int { return slices.Compare(a[:], b[:]) }
