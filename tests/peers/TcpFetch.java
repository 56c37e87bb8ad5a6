import java.io.PrintStream;
import java.net.InetSocketAddress;
import java.nio.file.Files;
import java.nio.file.Path;

import javax.net.SocketFactory;

import com.mbed.coap.client.CoapClient;
import com.mbed.coap.packet.BlockSize;
import com.mbed.coap.packet.Code;
import com.mbed.coap.packet.CoapRequest;
import com.mbed.coap.packet.CoapResponse;
import com.mbed.coap.server.CoapServer;
import com.mbed.coap.server.TcpCoapServer;
import com.mbed.coap.transport.javassl.SocketClientTransport;

/** java-coap fetches over TCP: HOST PORT PATH SIZE FILE, where SIZE names a BlockSize. Prints the answer's code. */
public class TcpFetch {
    public static void main(String[] arguments) throws Exception {
        PrintStream out = System.out;
        var server = new InetSocketAddress(arguments[0], Integer.parseInt(arguments[1]));
        CoapServer own = TcpCoapServer.builder()
                .transport(new SocketClientTransport(server, SocketFactory.getDefault(), false))
                .blockSize(BlockSize.valueOf(arguments[3])).build().start();
        try (CoapClient client = CoapClient.create(server, own, answer -> answer.getCode() == Code.C703_PONG)) {
            out.println("ping " + client.ping().get());
            CoapResponse answer = client.sendSync(CoapRequest.get(arguments[2]));
            out.println(answer.getCode().codeToString());
            Files.write(Path.of(arguments[4]), answer.getPayload().getBytes());
        }
        System.exit(0); // its threads would go on
    }
}
