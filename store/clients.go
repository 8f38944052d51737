package store

import (
	"context"
	"errors"

	"github.com/google/uuid"
	"gorm.io/gorm"
)

// GetClient returns one client, or NotFoundError.
func (s *Store) GetClient(ctx context.Context, id uuid.UUID) (Client, error) {
	var client Client
	err := s.read.WithContext(ctx).Where("id = ?", id).Take(&client).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return Client{}, &NotFoundError{Kind: KindClient, ID: id}
	}
	return client, s.translate("get client", err)
}

// CreateClient adds an active client with a new id. Names need not be unique.
func (s *Store) CreateClient(ctx context.Context, name string) (Client, error) {
	now := s.now()
	client := Client{
		ID: uuid.New(), Name: name, NameKey: FoldName(name), Status: "active", Version: 1, CreatedAt: now, UpdatedAt: now,
	}
	if err := s.write.WithContext(ctx).Create(&client).Error; err != nil {
		return Client{}, s.translate("create client", err)
	}
	return client, nil
}

// AllClients returns every client, by folded name and id.
func (s *Store) AllClients(ctx context.Context) ([]Client, error) {
	var clients []Client
	err := s.read.WithContext(ctx).Order("name_key, id").Find(&clients).Error
	return clients, s.translate("list clients", err)
}
