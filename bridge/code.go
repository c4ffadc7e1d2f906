package bridge

import (
	"net/http"

	"hkw/session"
)

// Codes that the bridge adds to those of the core.
const (
	MediaNotFound   session.Code = "MediaNotFound"
	UnknownCommand  session.Code = "UnknownCommand"
	RetainedCommand session.Code = "RetainedCommand"
	RateLimited     session.Code = "RateLimited"
	Unauthorized    session.Code = "Unauthorized"
	Internal        session.Code = "Internal"
)

// CodeInfo is what a client may know of an error code.
type CodeInfo struct {
	Code    session.Code
	Status  int    // HTTP status of a reply that carries it
	Meaning string // one sentence for a person
}

// Codes is the one table of error codes; topics.md is checked against it.
// Codes are only ever added.
var Codes = []CodeInfo{
	{session.InvalidCommand, http.StatusBadRequest, "The payload or a field is malformed; the message names the field and what is allowed."},
	{UnknownCommand, http.StatusNotFound, "There is no command on this topic."},
	{RetainedCommand, http.StatusBadRequest, "The command was a retained message; those are never carried out."},
	{RateLimited, http.StatusTooManyRequests, "Too many commands in too short a time."},
	{Unauthorized, http.StatusUnauthorized, "The caller is not allowed to do this."},
	{session.SessionNotFound, http.StatusNotFound, "The session is expired, closed or was never opened."},
	{session.TooManySessions, http.StatusTooManyRequests, "The hub has as many sessions as it can hold."},
	{session.PriorityTooLow, http.StatusConflict, "The hub is held at a higher priority."},
	{session.QuietHours, http.StatusConflict, "In quiet hours nothing of its priority is heard on any of its speakers."},
	{session.Busy, http.StatusConflict, "The hub is busy and the command would not wait, or too many commands wait already."},
	{session.Expired, http.StatusConflict, "The command's ttl or expires passed before it could start."},
	{session.Cancelled, http.StatusConflict, "A newer command replaced this one before it started."},
	{session.NothingToResume, http.StatusConflict, "Nothing is paused."},
	{session.NotSeekable, http.StatusConflict, "What plays can only run forward."},
	{MediaNotFound, http.StatusNotFound, "The library has no such media."},
	{session.MediaUnavailable, http.StatusBadGateway, "The media could not be opened or decoded in time."},
	{session.SpeakerNotFound, http.StatusNotFound, "The hub has no such speaker."},
	{session.NoSpeakers, http.StatusConflict, "The session has selected no speaker."},
	{session.SpeakerUnavailable, http.StatusServiceUnavailable, "None of the selected speakers can be heard now."},
	{Internal, http.StatusInternalServerError, "The hub failed in a way it should not; its log says more."},
}

// HTTPStatus is the HTTP status of a code; 200 for "" and 500 for a code that is not in the table.
func HTTPStatus(code session.Code) int {
	if code == "" {
		return http.StatusOK
	}
	for _, c := range Codes {
		if c.Code == code {
			return c.Status
		}
	}
	return http.StatusInternalServerError
}
