import java.nio.charset.StandardCharsets;
import java.nio.file.AccessDeniedException;
import java.util.Arrays;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FSDataInputStream;
import org.apache.hadoop.fs.FSDataOutputStream;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.fs.RemoteIterator;

/** A file system of Hadoop in a bucket, as Spark, Hive and Flink use it; its settings are in the arguments, NAME=VALUE. */
public final class S3A {
    public static void main(String[] arguments) throws Exception {
        Configuration settings = new Configuration();
        for (String argument : arguments) {
            settings.set(argument.substring(0, argument.indexOf('=')), argument.substring(argument.indexOf('=') + 1));
        }
        byte[] large = new byte[20 << 20];
        Arrays.fill(large, (byte) 7);
        try (FileSystem files = FileSystem.newInstance(new Path("s3a://lake/").toUri(), settings)) {
            Path folder = new Path("s3a://lake/t1/table");
            require(files.mkdirs(folder), "no folder");
            write(files, new Path(folder, "year=2026/größe a+b.txt"), "text".getBytes(StandardCharsets.UTF_8));
            write(files, new Path(folder, "large"), large);
            try (FSDataInputStream opened = files.open(new Path(folder, "large"))) {
                byte[] read = new byte[4];
                opened.readFully((long) large.length - 4, read);
                require(read[3] == 7, "other bytes");
                opened.seek(5);
                require(opened.read() == 7, "other bytes");
            }
            int found = 0;
            RemoteIterator<? extends FileStatus> all = files.listFiles(folder, true);
            while (all.hasNext()) {
                found += all.next().isFile() ? 1 : 0;
            }
            require(found == 2, found + " files");
            Path moved = new Path("s3a://lake/t1/moved");
            require(files.rename(folder, moved), "not renamed");
            require(files.getFileStatus(new Path(moved, "large")).getLen() == large.length, "another length");
            // SeaweedFS keeps the folder itself.
            require(!files.exists(new Path(folder, "large")), "still there");
            require(files.delete(moved, true), "not deleted");
            require(!files.exists(new Path(moved, "large")), "still there");
            try {
                write(files, new Path("s3a://lake/t2/x"), large);
                throw new AssertionError("wrote what it may not");
            } catch (AccessDeniedException refused) {
                System.out.println("refused: " + refused.getMessage().lines().findFirst().orElse(""));
            }
        }
    }

    static void write(FileSystem files, Path path, byte[] content) throws Exception {
        try (FSDataOutputStream opened = files.create(path, true)) {
            opened.write(content);
        }
    }

    static void require(boolean holds, String what) {
        if (!holds) {
            throw new AssertionError(what);
        }
    }
}
