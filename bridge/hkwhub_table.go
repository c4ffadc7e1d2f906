package bridge

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"hkw/session"
)

// dialectCommand is one command of HKWHub.
type dialectCommand struct {
	name   string
	params []dialectParam
	opens  bool   // it opens a session; every other one needs one
	is     string // what it is here, for a reader
	order  func(*dialectCall) dialectOrder
	answer func(*dialectCall, Result) (dialectObject, session.Code) // nil: {"Result":true}
}

// dialectCommands is the table of HKWHub's commands; topics.md is checked against it.
var dialectCommands = []dialectCommand{
	{name: "init_session", params: params(paramPriority), opens: true, is: "`session/open` with no speakers",
		order: does("session/open", object{"speakers": []string{}}), answer: tellToken},
	{name: "close_session", is: "`session/close`", order: does("session/close", nil)},

	{name: "device_count", is: "the snapshot's `speakers`", order: reads, answer: tellDeviceCount},
	{name: "device_list", is: "the snapshot's `speakers`", order: reads, answer: tellDevices},
	{name: "device_info", params: params(paramDevice), is: "the snapshot's `speakers`", order: reads, answer: tellDevice},
	{name: "add_device_to_session", params: params(paramDevice), is: "`session/speakers` with `add`", order: selects("add")},
	{name: "remove_device_from_session", params: params(paramDevice), is: "`session/speakers` with `remove`", order: selects("remove")},
	{name: "set_party_mode", is: "`session/speakers` with `speakers` \"all\"", order: does("session/speakers", object{"speakers": "all"})},

	{name: "media_list", is: "`media`, all of it", order: reads, answer: tellMedia},
	{name: "play_hub_media", params: params(paramPersistent, paramPriority), is: "`play`", order: playsMedia},
	{name: "play_hub_media_party_mode", params: params(paramPersistent, paramPriority), is: "`play` with `speakers` \"all\"", order: everywhere(playsMedia)},
	{name: "play_hub_media_selected_speakers", params: params(paramPersistent, paramDevices, paramPriority), is: "`play` with `speakers`", order: selected(playsMedia)},
	{name: "play_web_media", params: params(paramURL, paramPriority), is: "`play`", order: playsURL},
	{name: "play_web_media_party_mode", params: params(paramURL, paramPriority), is: "`play` with `speakers` \"all\"", order: everywhere(playsURL)},
	{name: "play_web_media_selected_speakers", params: params(paramURL, paramDevices, paramPriority), is: "`play` with `speakers`", order: selected(playsURL)},
	{name: "play_tts", params: params(paramText, paramPriority), is: "`say` with `on_busy` interrupt", order: says},
	{name: "play_tts_party_mode", params: params(paramText, paramPriority), is: "`say` with `on_busy` interrupt and `speakers` \"all\"", order: everywhere(says)},
	{name: "play_tts_selected_speakers", params: params(paramText, paramDevices, paramPriority), is: "`say` with `on_busy` interrupt and `speakers`", order: selected(says)},

	{name: "pause_play", is: "`pause`", order: does("pause", nil)},
	{name: "resume_hub_media", params: params(paramPersistent, paramPriority), is: "`resume` with `media`", order: resumes},
	{name: "resume_hub_media_party_mode", params: params(paramPersistent, paramPriority), is: "`resume` with `media` and `speakers` \"all\"", order: everywhere(resumes)},
	{name: "resume_hub_media_selected_speakers", params: params(paramPersistent, paramDevices, paramPriority), is: "`resume` with `media` and `speakers`", order: selected(resumes)},
	{name: "stop_play", is: "`stop`", order: does("stop", nil)},
	{name: "playback_status", is: "`session/get`", order: reads, answer: tellPlayback},
	{name: "is_playing", is: "`session/get`", order: reads, answer: tellPlaying},

	{name: "get_volume", is: "the snapshot's `volume`", order: reads, answer: tellVolume},
	{name: "get_volume_device", params: params(paramDevice), is: "the snapshot's `speakers`", order: reads, answer: tellDeviceVolume},
	{name: "set_volume", params: params(paramVolume), is: "`volume`, held within 0 to 50", order: setsVolume},
	{name: "set_volume_device", params: params(paramDevice, paramVolume), is: "`volume` with `speaker`, held within 0 to 50", order: setsDeviceVolume},
}

func params(p ...dialectParam) []dialectParam { return p }

func findDialectCommand(name string) *dialectCommand {
	for i := range dialectCommands {
		if dialectCommands[i].name == name {
			return &dialectCommands[i]
		}
	}
	return nil
}

// What the commands are.

type ordering = func(*dialectCall) dialectOrder

func does(topic string, fields object) ordering {
	return func(*dialectCall) dialectOrder {
		o := dialectOrder{topic: topic, fields: object{}}
		for name, value := range fields {
			o.fields[name] = value
		}
		return o
	}
}

// reads is a command that only asks: it keeps its session alive, and is denied
// without one.
func reads(*dialectCall) dialectOrder { return dialectOrder{topic: "session/get", fields: object{}} }

// selects changes the speakers of the session. A device that there is not is
// named all the same, for the hub to refuse.
func selects(field string) ordering {
	return func(c *dialectCall) dialectOrder {
		return dialectOrder{topic: "session/speakers", fields: object{field: []string{c.hub.device(c.args["DeviceID"])}}}
	}
}

func playsMedia(c *dialectCall) dialectOrder {
	media, ok := c.hub.persistent(c.args["PersistentID"])
	if !ok {
		return dialectOrder{refused: MediaNotFound}
	}
	return dialectOrder{topic: "play", fields: object{"media": media, "on_busy": session.Interrupt}}
}

func playsURL(c *dialectCall) dialectOrder {
	return dialectOrder{topic: "play", fields: object{"media": c.args["MediaUrl"], "on_busy": session.Interrupt}}
}

// says interrupts, like every play of HKWHub.
func says(c *dialectCall) dialectOrder {
	return dialectOrder{topic: "say", fields: object{"say": c.args["Text"], "on_busy": session.Interrupt}}
}

func resumes(c *dialectCall) dialectOrder {
	media, ok := c.hub.persistent(c.args["PersistentID"])
	if !ok {
		return dialectOrder{refused: MediaNotFound}
	}
	return dialectOrder{topic: "resume", fields: object{"media": media}}
}

func everywhere(order ordering) ordering {
	return func(c *dialectCall) dialectOrder {
		o := order(c)
		if o.refused == "" {
			o.fields["speakers"] = "all"
		}
		return o
	}
}

func selected(order ordering) ordering {
	return func(c *dialectCall) dialectOrder {
		o := order(c)
		if o.refused == "" {
			ids := strings.Split(c.args["DeviceIDList"], ",")
			for i := range ids {
				ids[i] = c.hub.device(ids[i])
			}
			o.fields["speakers"] = ids
		}
		return o
	}
}

func setsVolume(c *dialectCall) dialectOrder {
	volume, _ := strconv.Atoi(c.args["Volume"])
	return dialectOrder{topic: "volume", fields: object{"volume": volume}}
}

func setsDeviceVolume(c *dialectCall) dialectOrder {
	o := setsVolume(c)
	o.fields["speaker"] = c.hub.device(c.args["DeviceID"])
	return o
}

// What the commands tell.

func tellToken(c *dialectCall, r Result) (dialectObject, session.Code) {
	return dialectObject{{c.dialect.keys[0], r.Session}}, ""
}

func tellDeviceCount(c *dialectCall, _ Result) (dialectObject, session.Code) {
	return dialectObject{{"DeviceCount", len(c.hub.Status().Speakers)}}, ""
}

func tellDevices(c *dialectCall, r Result) (dialectObject, session.Code) {
	list := []dialectObject{}
	for _, s := range c.hub.Status().Speakers {
		list = append(list, deviceObject(s, r))
	}
	return dialectObject{{"DeviceList", list}}, ""
}

func tellDevice(c *dialectCall, r Result) (dialectObject, session.Code) {
	s, ok := c.speaker()
	if !ok {
		return nil, session.SpeakerNotFound
	}
	o := deviceObject(s, r)
	for i := range o {
		o[i].value = native{o[i].value}
	}
	return o, ""
}

// speaker is the one that the call's DeviceID names.
func (c *dialectCall) speaker() (SpeakerStatus, bool) {
	for _, s := range c.hub.Status().Speakers {
		if deviceID(s.ID) == c.args["DeviceID"] {
			return s, true
		}
	}
	return SpeakerStatus{}, false
}

// deviceObject describes a speaker to a session. HKWHub's speakers had addresses
// and radios of their own; ours have not, and programs look at the fields.
func deviceObject(s SpeakerStatus, r Result) dialectObject {
	active := r.State != nil && slices.Contains(r.State.Speakers, s.ID)
	return dialectObject{
		{"DeviceID", deviceID(s.ID)}, {"DeviceName", s.Name},
		{"GroupID", deviceID(s.ID)}, {"GroupName", s.Name}, // each is a group of its own
		{"ModelName", s.Driver}, {"MacAddress", "00:00:00:00:00:00"}, {"IPAddress", "0.0.0.0"}, {"Port", 0}, {"Version", "0"},
		{"Role", 21}, {"Active", active}, {"IsPlaying", s.Active}, {"Volume", s.Volume}, {"WifiSignalStrength", 0},
	}
}

func tellMedia(c *dialectCall, _ Result) (dialectObject, session.Code) {
	all, _ := c.hub.cfg.Media.List("", 0, 0)
	list := []dialectObject{}
	for _, m := range all {
		list = append(list, dialectObject{{"PersistentID", persistentID(m)}, {"Title", m.Title}, {"Artist", m.Artist},
			{"AlbumTitle", m.Album}, {"Duration", int(math.Round(m.Duration.Seconds()))}})
	}
	return dialectObject{{"MediaList", list}}, ""
}

// tellPlayback tells of the session's own playback: -1 where nothing of it plays.
func tellPlayback(_ *dialectCall, r Result) (dialectObject, session.Code) {
	if r.State == nil {
		return nil, session.SessionNotFound
	}
	elapsed := -1
	if p := r.State.Playing; p != nil && r.State.State == session.PlayerStatePlaying {
		elapsed = p.elapsed(time.Now())
	}
	return dialectObject{{"PlaybackState", string(r.State.State)}, {"TimeElapsed", elapsed}}, ""
}

func tellPlaying(_ *dialectCall, r Result) (dialectObject, session.Code) {
	if r.State == nil {
		return nil, session.SessionNotFound
	}
	return dialectObject{{"IsPlaying", r.State.State == session.PlayerStatePlaying}}, ""
}

func tellVolume(c *dialectCall, _ Result) (dialectObject, session.Code) {
	return dialectObject{{"Volume", c.hub.Status().Volume}}, ""
}

func tellDeviceVolume(c *dialectCall, _ Result) (dialectObject, session.Code) {
	s, ok := c.speaker()
	if !ok {
		return nil, session.SpeakerNotFound
	}
	return dialectObject{{"Volume", s.Volume}}, ""
}
