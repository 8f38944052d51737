// Package faults runs the real server on real databases and injects faults: it kills PostgreSQL and the server, cuts, slows and
// silences the connections between them, alters tables and restarts servers while clients write. A ledger records every answer. The
// package then compares the ledger with the rows and with the history of changes.
//
// The tests are short. The command in soak runs everything for a given time.
package faults
