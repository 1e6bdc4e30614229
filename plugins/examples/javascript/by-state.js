// A partitioner: one state's orders to partition 0, the others to whichever of the rest has the shortest queue.
// Each export of the world is an object; WIT's names are in camelCase here, and a result's error is thrown.

let state;

export const partitioner = {
  // The first call. What is thrown is shown to whoever wrote the config file.
  configure(entries) {
    for (const [name] of entries) {
      if (name !== "state") throw `the setting \`${name}\` is not known here; known is state`;
    }
    state = new Map(entries).get("state");
    if (state === undefined) throw "the setting `state` is missing";
    // Keyed: the same record always goes to the same place. Only the values are copied to this plugin.
    return { reads: { fields: { value: true } }, consistency: "keyed" };
  },

  // Before the first record of a topic. Returns its groups: here one, of all partitions but the first.
  onTopology({ topic, partitions }) {
    if (partitions < 2) throw `topic ${topic} has ${partitions} partition: two are needed`;
    return [Array.from({ length: partitions - 1 }, (_, at) => at + 1)];
  },

  // A batch. The values lie end to end in one array of bytes; a length of -1 is null.
  partition({ values: { lengths, data } }) {
    const targets = [];
    const refused = [];
    let start = 0;
    lengths.forEach((length, index) => {
      const end = start + Math.max(length, 0);
      try {
        const order = length < 0 ? null : JSON.parse(utf8(data.subarray(start, end)));
        // From 0 up a partition, -1 the producer's own choice, -2 the first group.
        targets.push(order?.state === state ? 0 : -2);
      } catch {
        targets.push(-1);
        refused.push({ index, reason: "the value is not JSON" });
      }
      start = end;
    });
    return { targets, refused };
  },

  close() {},
};

// QuickJS has no TextDecoder. Only what is not ASCII takes the longer way; the many arguments of one call are bounded.
function utf8(bytes) {
  let letters = "";
  for (let at = 0; at < bytes.length; at += 8192) {
    letters += String.fromCharCode.apply(null, bytes.subarray(at, at + 8192));
  }
  return /^[\x00-\x7f]*$/.test(letters) ? letters : decodeURIComponent(escape(letters));
}
