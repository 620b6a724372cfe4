// The function as a worker.
export default {
  async fetch(request) {
    const { pathname } = new URL(request.url);
    if (request.method !== "POST" || pathname !== "/limit") return new Response(null, { status: 404 });
    const reading = await request.json();
    return Response.json({ mode: reading.celsius > 30 ? "max" : "low" });
  },
};
