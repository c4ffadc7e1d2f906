// A client as people wrote them for HKWHub: plain GETs, scalars as strings, no
// library. Runs in Node and, cross-origin, in a browser.

const truth = (cond, what, got) => {
  if (!cond) throw new Error(`${what}: ${JSON.stringify(got)}`);
};

// ask sends one command and returns the reply's JSON and status.
async function ask(base, command, params = {}) {
  const query = new URLSearchParams(params).toString();
  const res = await fetch(`${base}/v1/${command}?${query}`);
  return { status: res.status, ...(await res.json()) };
}

// until polls a command as such clients do, though more often than once a second.
async function until(poll, ok) {
  for (let i = 0; i < 100; i++) {
    const got = await poll();
    if (ok(got)) return got;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error("waited in vain");
}

// story is a session from init_session to close_session. It returns what it did,
// or throws.
export async function story(base) {
  const said = [];
  const { SessionID } = await ask(base, "init_session", { Priority: 120 });
  truth(/^\d+$/.test(SessionID), "init_session", SessionID);
  const go = async (command, params = {}) => {
    const got = await ask(base, command, { SessionID, ...params });
    said.push(`${command} ${got.status}`);
    return got;
  };

  const count = await go("device_count");
  const { DeviceList } = await go("device_list");
  truth(parseInt(count.DeviceCount) === DeviceList.length && DeviceList.length > 0, "device_list", DeviceList);
  let got = await go("play_hub_media", { PersistentID: "1" });
  truth(got.Result === "false", "a play without speakers", got);
  for (const d of DeviceList) {
    got = await go("add_device_to_session", { DeviceID: d.DeviceID });
    truth(got.Result === "true", "add_device_to_session", got);
  }
  got = await go("set_volume", { Volume: 60 }); // ±5 runs past the end: clamped
  truth(got.Result === "true", "set_volume", got);
  got = await go("get_volume");
  truth(got.Volume === "50", "get_volume", got);

  const { MediaList } = await go("media_list");
  const song = MediaList.find((m) => m.Title === "song");
  truth(song && song.Duration === 20, "media_list", MediaList);
  got = await go("play_hub_media", { PersistentID: song.PersistentID });
  truth(got.Result === "true", "play_hub_media", got);
  got = await go("is_playing");
  truth(got.IsPlaying === "true", "is_playing", got);
  got = await go("device_info", { DeviceID: DeviceList[0].DeviceID });
  truth(got.IsPlaying === true && got.Active === true && got.Volume === 50, "device_info", got);
  await until(() => ask(base, "playback_status", { SessionID }), (s) => parseInt(s.TimeElapsed) >= 1);

  got = await go("pause_play");
  truth(got.Result === "true", "pause_play", got);
  got = await go("playback_status");
  truth(got.PlaybackState === "PlayerStatePaused", "paused", got);
  got = await go("resume_hub_media", { PersistentID: song.PersistentID });
  truth(got.Result === "true", "resume_hub_media", got);
  got = await go("playback_status");
  truth(got.PlaybackState === "PlayerStatePlaying" && parseInt(got.TimeElapsed) >= 1, "resumed", got);

  // Another session with less is refused, and sees that it is.
  const other = await ask(base, "init_session");
  await ask(base, "set_party_mode", { SessionID: other.SessionID });
  got = await ask(base, "play_hub_media", { SessionID: other.SessionID, PersistentID: song.PersistentID });
  truth(got.status === 200 && got.Result === "false" && got.Error.startsWith("PriorityTooLow"), "a lower priority", got);
  await ask(base, "close_session", { SessionID: other.SessionID });

  got = await go("stop_play");
  truth(got.Result === "true", "stop_play", got);
  got = await go("playback_status");
  truth(got.PlaybackState === "PlayerStateStopped" && got.TimeElapsed === "-1", "stopped", got);
  got = await go("close_session");
  truth(got.Result === "true", "close_session", got);
  got = await go("get_volume");
  truth(got.status === 404 && got.Error === "SessionNotFound", "after close_session", got);
  return said;
}
