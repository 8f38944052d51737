package egress_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// newResolver returns a resolver that asks a DNS server on loopback, which runs until the test ends. Each query for the IPv4 addresses
// of a name gets the next of the answers, and the last one again and again. An invalid address stands for a name that does not
// exist. No name has IPv6 addresses.
func newResolver(t *testing.T, answers ...netip.Addr) *net.Resolver {
	t.Helper()
	conn, err := (&net.ListenConfig{}).ListenPacket(t.Context(), "udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		serveDNS(t, conn, answers)
	}()
	t.Cleanup(func() {
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
		<-stopped
	})
	address := conn.LocalAddr().String()
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp", address)
	}}
}

func serveDNS(t *testing.T, conn net.PacketConn, answers []netip.Addr) {
	buffer := make([]byte, 1500)
	for {
		n, from, err := conn.ReadFrom(buffer)
		if err != nil {
			if !errors.Is(err, net.ErrClosed) {
				t.Error(err)
			}
			return
		}
		var query dnsmessage.Message
		if err := query.Unpack(buffer[:n]); err != nil || len(query.Questions) != 1 {
			t.Errorf("a query of %d questions: %v", len(query.Questions), err)
			return
		}
		var addr netip.Addr
		if addr = answers[0]; query.Questions[0].Type == dnsmessage.TypeA && len(answers) > 1 {
			answers = answers[1:]
		}
		reply, err := answerDNS(query, addr)
		if err != nil {
			t.Error(err)
			return
		}
		if _, err := conn.WriteTo(reply, from); err != nil {
			t.Error(err)
			return
		}
	}
}

func answerDNS(query dnsmessage.Message, addr netip.Addr) ([]byte, error) {
	question := query.Questions[0]
	reply := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: query.ID, Response: true, Authoritative: true, RecursionDesired: true, RecursionAvailable: true},
		Questions: query.Questions,
	}
	switch {
	case !addr.IsValid():
		reply.RCode = dnsmessage.RCodeNameError
	case question.Type == dnsmessage.TypeA:
		reply.Answers = []dnsmessage.Resource{{
			Header: dnsmessage.ResourceHeader{Name: question.Name, Class: question.Class},
			Body:   &dnsmessage.AResource{A: addr.As4()},
		}}
	}
	return reply.Pack()
}
