package bridge

import (
	"fmt"

	"hkw/session"
)

// What the community's media player reads: it knows no templates.
const (
	playerStateTopic = "status/media_player/state"
	playerLevelTopic = "status/media_player/volume"
)

// serves tells whether the media player is announced.
func (h HomeAssistant) serves() bool { return h.Prefix != "" && h.MediaPlayer }

// mediaPlayer is the discovery payload of github.com/bkbilly/mqtt_media_player, as
// its version 2026.9.2 reads it.
type mediaPlayer struct {
	Availability map[string]string `json:"availability"`
	Name         string            `json:"name"`
	State        string            `json:"state_state_topic"`
	Title        string            `json:"state_title_topic"`
	Volume       string            `json:"state_volume_topic"`
	SetVolume    string            `json:"command_volume_topic"`
	Play         string            `json:"command_play_topic"`
	PlayPayload  string            `json:"command_play_payload"`
	Pause        string            `json:"command_pause_topic"`
	PausePayload string            `json:"command_pause_payload"`
	PlayMedia    string            `json:"command_playmedia_topic"`
}

func mediaPlayerDiscovery(hub string) mediaPlayer {
	below := func(topic string) string { return fmt.Sprintf("hkw/%s/%s", hub, topic) }
	return mediaPlayer{
		Availability: map[string]string{"topic": below(availabilityTopic), "payload_available": Online, "payload_not_available": Offline},
		Name:         "hkw " + hub,
		State:        below(playerStateTopic), Title: below("status/title"), Volume: below(playerLevelTopic),
		SetVolume: below("media_player/volume"),
		Play:      below("resume"), PlayPayload: "play", Pause: below("pause"), PausePayload: "pause", PlayMedia: below("play"),
	}
}

// playerStates are the states of the hub as Home Assistant's media players and the
// sensor of the hub call them.
var playerStates = map[session.PlayerState]string{
	session.PlayerStateInitialized: "idle", session.PlayerStatePlaying: "playing",
	session.PlayerStatePaused: "paused", session.PlayerStateStopped: "idle",
}
