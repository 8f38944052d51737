// Package faults runs the real server on real databases and breaks them: it kills PostgreSQL and the server, cuts, slows and
// silences what is between them, alters tables and restarts servers while clients write. A ledger of what every client was
// told is then compared with what the database has, row by row and with the history of changes.
//
// The tests are the short forms; the command in soak runs everything for as long as it is told.
package faults
