// Command pocketbase is a reference: the apps and the catalog as collections of PocketBase, with its own API.
//
//	pocketbase --dir DIR setup                    create the collections and an administrator; print a token
//	pocketbase --dir DIR serve --http HOST:PORT   serve
//
// A trigger writes the history of changes, as in our server. Otherwise PocketBase has its defaults, where a power failure can lose
// acknowledged writes. With --synchronous FULL every commit is on disk before it is acknowledged.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/pocketbase/dbx"
	"github.com/pocketbase/pocketbase"
	"github.com/pocketbase/pocketbase/core"
	"github.com/spf13/cobra"
)

func main() {
	synchronous := "NORMAL"
	app := pocketbase.NewWithConfig(pocketbase.Config{HideStartBanner: true, DBConnect: func(path string) (*dbx.DB, error) {
		return connect(path, synchronous)
	}})
	app.RootCmd.PersistentFlags().StringVar(&synchronous, "synchronous", synchronous, "NORMAL or FULL")
	// PocketBase opens its databases before cobra parses the flags. So this flag is parsed beforehand too.
	if err := app.RootCmd.ParseFlags(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "pocketbase:", err)
		os.Exit(2)
	}
	app.RootCmd.AddCommand(&cobra.Command{
		Use:  "setup",
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return setup(app) },
	})
	if err := app.Start(); err != nil {
		fmt.Fprintln(os.Stderr, "pocketbase:", err)
		os.Exit(1)
	}
}

// connect opens databases like PocketBase, but sets synchronous for the data. The request log is unchanged.
func connect(path, synchronous string) (*dbx.DB, error) {
	if filepath.Base(path) != "data.db" {
		synchronous = "NORMAL"
	}
	pragmas := []string{
		"busy_timeout(10000)", "journal_mode(WAL)", "journal_size_limit(200000000)", "synchronous(" + synchronous + ")",
		"foreign_keys(ON)", "temp_store(MEMORY)", "cache_size(-32000)",
	}
	return dbx.Open("sqlite", path+"?_pragma="+strings.Join(pragmas, "&_pragma="))
}

func setup(app core.App) error {
	if err := makeCollections(app); err != nil {
		return err
	}
	if _, err := app.NonconcurrentDB().NewQuery(history).Execute(); err != nil {
		return err
	}
	superusers, err := app.FindCollectionByNameOrId(core.CollectionNameSuperusers)
	if err != nil {
		return err
	}
	admin := core.NewRecord(superusers)
	admin.SetEmail("bench@example.com")
	admin.SetRandomPassword()
	if err := app.Save(admin); err != nil {
		return err
	}
	token, err := admin.NewAuthToken()
	if err != nil {
		return err
	}
	_, err = fmt.Println(token)
	return err
}
