package broker

import (
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
)

// claim gives a client id to a connection, which keeps it until it has ended: a
// client id belongs to one owner, and to one connection of theirs at a time. The
// owner of a session that waits for its client is who made it; without that, a
// stranger who takes an id takes the messages that wait for it.
//
// An older connection of the same owner is ended first, its will published, its
// record gone. Left to the library, the old connection's end and the new one's
// beginning overlap: a client may find itself connected and unknown, deaf from
// then on, and the will of the old may follow what the new one said.
func (b *Broker) claim(conn *guardedConn, cl *mqtt.Client, who identity) (packets.Code, bool) {
	patience := time.NewTimer(b.cfg.ConnectDeadline)
	defer patience.Stop()
	for {
		holder, code := b.tryClaim(conn, cl, who)
		if holder == nil {
			return code, code == packets.CodeSuccess
		}
		if held, _ := holder.identity(); held != who {
			return packets.ErrClientIdentifierNotValid, false
		}
		endTakenOver(holder)
		select {
		case <-holder.ended:
		case <-patience.C:
			return packets.ErrServerUnavailable, false
		}
	}
}

// tryClaim claims a client id if no connection holds it; else it returns that one.
func (b *Broker) tryClaim(conn *guardedConn, cl *mqtt.Client, who identity) (*guardedConn, packets.Code) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if holder := b.claims[cl.ID]; holder != nil {
		return holder, packets.CodeSuccess
	}
	if session, ok := b.server.Clients.Get(cl.ID); ok {
		if owner, _ := whoIs(session); owner != who {
			return nil, packets.ErrClientIdentifierNotValid
		}
	} else if b.server.Clients.Len() >= sessionsPerClient*b.cfg.MaxClients {
		return nil, packets.ErrServerUnavailable
	}
	b.claims[cl.ID] = conn
	conn.admit(cl, who)
	return nil, packets.CodeSuccess
}

// sessionsPerClient bounds the sessions of absent clients, in multiples of MaxClients.
const sessionsPerClient = 4

// release gives the client id of a connection back, if it has one.
func (b *Broker) release(conn *guardedConn) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if conn.client != nil && b.claims[conn.client.ID] == conn {
		delete(b.claims, conn.client.ID)
	}
	close(conn.ended)
}

// endTakenOver ends a connection, and tells a client of MQTT 5 why; MQTT 3.1.1 has no
// words for that. It closes the connection and no more: a client that the library
// itself is asked to stop may lose its will.
func endTakenOver(conn *guardedConn) {
	if cl := conn.client; cl.Properties.ProtocolVersion == 5 {
		_ = cl.WritePacket(packets.Packet{
			FixedHeader: packets.FixedHeader{Type: packets.Disconnect},
			ReasonCode:  packets.ErrSessionTakenOver.Code,
		})
	}
	_ = conn.Close()
}
