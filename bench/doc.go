// Command bench measures the server beside what a user could pick instead, in interleaved slices of one run:
//
//	options.go     what to run
//	lab.go         builds, databases with data, processes: all its own, all on loopback, all gone afterwards
//	contenders.go  who is compared: ours.go, variants.go and sqlite.go have what some of them need
//	kinds.go       under which load
//	equal.go       everybody must answer alike before anybody is timed
//	race.go        slices in turn, and what they used
//	results.go     the tables and the file; aims.go compares them with the aims
//	profile.go     instead of all this, a CPU profile for the compiler
//
//	dataset/       the data                    machine/  processes, CPU, PostgreSQL
//	load/          wrk, vegeta, pgbench        report/   medians, ratios, tables
//	overlay/       the server with changes     handwritten/  net/http and pgx by hand
//	fastify/       Node.js                     pocketbase/   PocketBase
package main
