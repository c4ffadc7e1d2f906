package main

import (
	"context"
	"net"
	"runtime"
	"testing"
	"time"

	"golang.org/x/net/bpf"
	"golang.org/x/net/dns/dnsmessage"
	"golang.org/x/net/ipv4"
)

// While a service is announced, only questions of a reasonable number are heard.
func TestOnlyQuestionsAreHeard(t *testing.T) {
	vm, err := bpf.NewVM(questions)
	if err != nil {
		t.Fatal(err)
	}
	packet := func(response bool, asked, answered int) []byte {
		name := dnsmessage.MustNewName(kindHTTPService + ".local.")
		m := dnsmessage.Message{Header: dnsmessage.Header{Response: response}}
		for range asked {
			m.Questions = append(m.Questions, dnsmessage.Question{Name: name, Type: dnsmessage.TypePTR, Class: dnsmessage.ClassINET})
		}
		for range answered {
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: dnsmessage.ResourceHeader{Name: name, Class: dnsmessage.ClassINET}, Body: &dnsmessage.PTRResource{PTR: name}})
		}
		p, err := m.Pack()
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	cases := []struct {
		what   string
		packet []byte
		heard  bool
	}{
		{"a question", packet(false, 1, 0), true},
		{"questions, one with its answer", packet(false, 2, 1), true},
		{"as many as are allowed", packet(false, maxQuestions, 0), true},
		{"one too many", packet(false, maxQuestions+1, 0), false},
		{"a thousand", packet(false, 1000, 0), false},
		{"a response", packet(true, 0, 1), false},
		{"a response that repeats its question", packet(true, 1, 1), false},
		{"answers without the mark of a response", packet(false, 0, 3), false},
		{"nothing", packet(false, 0, 0), false},
		{"too short", packet(false, 1, 0)[:7], false},
		{"empty", nil, false},
	}
	for _, c := range cases {
		n, err := vm.Run(append(make([]byte, 8), c.packet...))
		if err != nil || n > 0 != c.heard || c.heard && n < len(c.packet)+8 {
			t.Errorf("%s: %d bytes, %v", c.what, n, err)
		}
	}
	if runtime.GOOS != "linux" {
		t.Skip("this system filters no datagrams")
	}
	in, err := new(net.ListenConfig).ListenPacket(context.Background(), "udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = in.Close() }()
	s := service{v4: ipv4.NewPacketConn(in)}
	s.hearQuestions()
	out, err := net.Dial("udp4", in.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = out.Close() }()
	buffer := make([]byte, 1<<16)
	for _, c := range cases {
		if _, err := out.Write(c.packet); err != nil {
			t.Fatal(err)
		}
		if !c.heard {
			continue // whatever comes next must be the next that is heard
		}
		_ = in.SetReadDeadline(time.Now().Add(patience))
		if n, _, err := in.ReadFrom(buffer); err != nil || string(buffer[:n]) != string(c.packet) {
			t.Errorf("%s: heard %d bytes, %v", c.what, n, err)
		}
	}
	_ = in.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if n, _, err := in.ReadFrom(buffer); err == nil {
		t.Errorf("%d bytes were heard that should not", n)
	}
}
