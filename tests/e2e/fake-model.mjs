// An OpenAI-compatible model for one test, inside the cell: asks for one tool call, then says what the
// tool printed. Listens on the loopback, port 18080.
import http from 'node:http';
http.createServer((req, res) => {
	let body = '';
	req.on('data', (d) => { body += d; });
	req.on('end', () => {
		const messages = JSON.parse(body || '{}').messages || [];
		const tool = messages.filter((m) => m.role === 'tool').pop();
		const say = (delta, finish) => res.write('data: ' + JSON.stringify({ id: 'c', object: 'chat.completion.chunk',
			created: 1, model: 'mock-1', choices: [{ index: 0, delta, finish_reason: finish }] }) + '\n\n');
		res.writeHead(200, { 'Content-Type': 'text/event-stream' });
		if (tool) {
			const text = typeof tool.content === 'string' ? tool.content : JSON.stringify(tool.content);
			say({ role: 'assistant', content: 'the tool said: ' + text.slice(0, 400) }, null);
			say({}, 'stop');
		} else {
			say({ role: 'assistant', tool_calls: [{ index: 0, id: 'call1', type: 'function',
				function: { name: 'exec', arguments: JSON.stringify({ command: 'echo from-$(id -un)-in-$(hostname)' }) } }] }, null);
			say({}, 'tool_calls');
		}
		res.end('data: [DONE]\n\n');
	});
}).listen(18080, '127.0.0.1');
